/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kind of file system a lock directory is on, as far as it matters: may
 * a call hang because another host doesn't answer, and does flock(2) exclude
 * other hosts? The first is asked of statfs(2), the second can't be tried on
 * one host and is looked up in proc(5), mountinfo.
 *
 * Called when a process starts, from any thread; no state.
 *
 * The invariant: a file system that isn't known to exclude other hosts isn't
 * believed to, since the other form works on all of them.
 */
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "lock/lock_disk.h"

/* A line of mountinfo with its two paths. */
#define LINE_BYTES 16384

int dp_mount_is_remote(int fd)
{
    /* statfs(2) and the file systems' own sources: NFS, SMB, CIFS, SMB2,
     * FUSE (GlusterFS, virtiofs, sshfs), Ceph, AFS, Lustre, 9P, GFS2, OCFS2,
     * BeeGFS, GPFS, OrangeFS, Coda, VirtualBox. */
    static const unsigned long kinds[] = {
        0x6969,     0x517b,     0xff534d42, 0xfe534d42, 0x65735546, 0x00c36400,
        0x5346414f, 0x0bd00bd0, 0x01021997, 0x01161970, 0x7461636f, 0x19830326,
        0x47504653, 0x20030528, 0x73757245, 0x786f4256};
    struct statfs info;
    apr_size_t i;

    if (fstatfs(fd, &info) != 0) {
        return 1;
    }
    for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (((unsigned long)info.f_type & 0xffffffffUL) == kinds[i]) {
            return 1;
        }
    }
    return 0;
}

/* File systems whose flock excludes other hosts and makes what they wrote
 * visible, and the options that take that away. */
static const struct trusted_t {
    const char *type;
    const char *unless[3];
} trusted[] = {{"nfs", {"nolock", "local_lock=flock", "local_lock=all"}},
               {"nfs4", {"nolock", "local_lock=flock", "local_lock=all"}},
               {"ceph", {NULL, NULL, NULL}},
               {"gfs2", {"localflocks", "lockproto=lock_nolock", NULL}},
               {"ocfs2", {"localflocks", NULL, NULL}}};

/* The number of the mount that an open file is on, or -1. */
static int mount_of(int fd)
{
    char path[64];
    char line[256];
    int number = -1;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    file = fopen(path, "re");
    while (file && number < 0 && fgets(line, sizeof(line), file)) {
        (void)sscanf(line, "mnt_id: %d", &number);
    }
    if (file) {
        fclose(file);
    }
    return number;
}

/* "type source options" of that mount, or NULL. */
static char *describe_mount(int number, apr_pool_t *pool)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char *line = apr_palloc(pool, LINE_BYTES);
    char *found = NULL;
    int at;

    while (file && !found && fgets(line, LINE_BYTES, file)) {
        if (sscanf(line, "%d ", &at) == 1 && at == number) {
            found = strstr(line, " - ");
        }
    }
    if (file) {
        fclose(file);
    }
    return found ? found + 3 : NULL;
}

/* One of the options that spoil it, or NULL. */
static const char *find_option(char *options, const struct trusted_t *kind)
{
    char *rest = NULL;
    char *option = apr_strtok(options, ", \n", &rest);
    int i;

    for (; option; option = apr_strtok(NULL, ", \n", &rest)) {
        for (i = 0; i < 3 && kind->unless[i]; i++) {
            if (strcmp(option, kind->unless[i]) == 0) {
                return option;
            }
        }
    }
    return NULL;
}

const char *dp_mount_distrust(int fd, apr_pool_t *pool)
{
    char *text;
    char *rest = NULL;
    const char *type;
    const char *option;
    apr_size_t i;

    if (!dp_mount_is_remote(fd)) {
        return NULL;
    }
    text = describe_mount(mount_of(fd), pool);
    type = text ? apr_strtok(text, " ", &rest) : NULL;
    for (i = 0; type && i < sizeof(trusted) / sizeof(*trusted); i++) {
        if (strcmp(type, trusted[i].type) == 0) {
            option = find_option(rest, &trusted[i]);
            return option ? apr_psprintf(pool, "mounted with %s", option)
                          : NULL;
        }
    }
    return apr_psprintf(pool, "%s isn't known to keep other hosts out",
                        type ? type : "this file system");
}
