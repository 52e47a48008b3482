/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of locker files: any text is refused with file and line, or is a
 * definition of which lockers can be made or refused. Making them contacts
 * and reads nothing here, as files with secrets are left out.
 */
#include <apr_general.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lock/lock.h"
#include "lock/lock_fallback.h"
#include "lock/lock_memcache.h"
#include "lock/locker_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
    if (!holds) {
        abort();
    }
}

/* What isn't linked here has the places of memcache at least. */
static const dogpile_locker_provider_t *lookup(const char *type)
{
    return strcmp(type, "disk") == 0 ? &dp_lock_disk : &dp_lock_memcache;
}

static void check(dp_locker_def_t *def, int depth, apr_pool_t *pool)
{
    int i;

    must(depth < 2 && def->provider && def->conf.name && def->title);
    must(def->where.line > 0);
    must(def->members->nelts <= DP_MEMBERS_MAX);
    must((def->members->nelts > 0) == (def->provider == &dp_lock_fallback));
    must(def->conf.directory == NULL || def->conf.directory[0] == '/');
    for (i = 0; i < def->members->nelts; i++) {
        check(APR_ARRAY_IDX(def->members, i, dp_locker_def_t *), depth + 1,
              pool);
    }
}

static void make(dp_locker_def_t *def, apr_pool_t *pool)
{
    dogpile_locker_conf_t defaults;
    const dp_locker_def_t *culprit = NULL;
    const char *wrong;

    dp_locker_defaults(&defaults);
    wrong = dp_locker_make(def, &defaults, &culprit, pool);
    must(wrong ? culprit != NULL : def->locker != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int ready;
    dp_locker_def_t *def = NULL;
    const char *wrong;
    apr_pool_t *pool;

    if (!ready) {
        apr_initialize();
        ready = 1;
    }
    apr_pool_create(&pool, NULL);
    wrong = dp_locker_text_read(&def, (const char *)data, size, "f", "name",
                                lookup, pool);
    must((wrong == NULL) == (def != NULL));
    if (wrong) {
        must(strncmp(wrong, "f:", 2) == 0 && wrong[2] >= '1'
             && wrong[2] <= '9');
    }
    else {
        check(def, 0, pool);
        make(def, pool);
    }
    apr_pool_destroy(pool);
    return 0;
}
