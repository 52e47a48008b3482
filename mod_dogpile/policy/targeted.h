/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of RFC 9213, Cache-Control for one kind of cache: whether one can be
 * used.
 */
#ifndef DP_POLICY_TARGETED_H
#define DP_POLICY_TARGETED_H

/*
 * Whether a text is a Dictionary of RFC 9651 (Structured Fields) with at least
 * one member. Where it isn't, the cache must act as if it weren't there
 * (RFC 9213 section 2.1).
 */
int dp_targeted_is_valid(const char *text);

#endif
