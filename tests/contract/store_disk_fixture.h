/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk store in a directory that goes with the test, and what its tests do
 * to it behind its back.
 */
#ifndef DP_TESTS_STORE_DISK_FIXTURE_H
#define DP_TESTS_STORE_DISK_FIXTURE_H

#include "store/store_disk.h"
#include "store_contract.h"

/* A user who owns nothing. */
#define SOMEBODY 65533

extern const store_under_test_t store_disk_under_test;

/* One at that path, for that user; and what its prepare() says. */
dogpile_store_t *store_disk_at(const char *where, apr_uid_t uid);
const char *store_disk_prepare(dogpile_store_t *store);

/* A new one, prepared. */
dogpile_store_t *store_disk_make(void);

const char *store_disk_root(dogpile_store_t *store);
const char *store_disk_path(dogpile_store_t *store, const dogpile_key_t *key);

/* Write a file where the record of `key` is. */
void store_disk_plant(dogpile_store_t *store, const dogpile_key_t *key,
                      const void *bytes, apr_size_t size);

/* How many files are in a directory below the root. */
int store_disk_files_in(dogpile_store_t *store, const char *name);

/* Whether this process may mount; from then on its mounts are its own and
 * end with it. */
int store_disk_can_mount(void);

#endif
