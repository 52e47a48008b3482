/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk locker to test with, and hands on its files.
 */
#ifndef DP_TESTS_LOCK_DISK_FIXTURE_H
#define DP_TESTS_LOCK_DISK_FIXTURE_H

#include "lock/lock_disk.h"
#include "locker_contract.h"

/* The user of last resort on every system. */
#define LOCK_DISK_NOBODY 65534

extern const contract_locker_t lock_disk_contract;
extern const contract_locker_t lock_disk_rename_contract;

/* Make the directory, in that form, unless it is there. */
void lock_disk_publish(const char *path, const dp_form_t *form);

/* End all leases in a directory, as if its locker had forgotten them. */
void lock_disk_forget(const char *path);

/* The test's lock directory, below one that everybody may pass. It need not
 * exist yet. */
const char *lock_disk_directory(void);

/* Where the leases on a key are. */
const char *lock_disk_bucket(const dogpile_lock_key_t *key);

/* A configuration, and a locker, whose leases don't end. */
dogpile_locker_conf_t *lock_disk_conf(void);
dogpile_locker_t *lock_disk_locker(void);

/* Write a file. */
void lock_disk_put(const char *path, const char *bytes, apr_size_t size);

/* Two who contend for one lock, each until it has had it `rounds` times: take,
 * renew, give back. What is unavailable or someone else's is tried again. */
typedef struct lock_disk_contest_t {
    dogpile_locker_t *locker;
    dogpile_lock_key_t key;
    apr_uint32_t rounds;
    void (*between)(void); /* called after each; or NULL */
    apr_uint32_t inside;   /* holders now */
    apr_uint32_t taken;    /* acquisitions in all */
    apr_uint32_t crowds;   /* times that two were inside */
    apr_uint32_t lost;     /* leases that weren't there to be renewed */
    apr_uint32_t unknown;  /* leases that weren't there to be given back */
    apr_uint32_t failures; /* anything but mine, someone else's, no answer */
} lock_disk_contest_t;

void lock_disk_contend(lock_disk_contest_t *contest);

/* For a while, where we are root, a member of that group and nobody else. */
void lock_disk_be_nobody(gid_t group);
void lock_disk_be_root(void);

#endif
