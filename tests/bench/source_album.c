/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The album of tests/bench/source.c: files in, bytes out.
 *
 * Read at the start, before anybody asks, and never changed or freed. A
 * picture is found by the layer and the size that a request line names.
 */
#include "source_album.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int query_number(const char *request, const char *name)
{
    const char *at = strcasestr(request, name);

    return at ? atoi(at + strlen(name)) : -1;
}

const picture_t *album_find(const album_t *album, const char *request)
{
    int width = query_number(request, "WIDTH=");
    int height = query_number(request, "HEIGHT=");

    for (int i = 0; i < album->npictures; i++) {
        const picture_t *picture = &album->pictures[i];

        if (picture->width == width && picture->height == height
            && strcasestr(request, picture->layers)) {
            return picture;
        }
    }
    return NULL;
}

static void give_up(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static void read_picture(album_t *album, const char *folder, const char *name)
{
    picture_t *picture = &album->pictures[album->npictures];
    char layer[16];
    char path[1024];
    struct stat info;
    int fd;

    if (album->npictures == PICTURES_MAX
        || sscanf(name, "%15[a-z]-%dx%d.png", layer, &picture->width,
                  &picture->height)
               != 3) {
        return;
    }
    snprintf(picture->layers, sizeof(picture->layers), "LAYERS=%s", layer);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &info) != 0) {
        give_up(path);
    }
    picture->size = (size_t)info.st_size;
    picture->bytes = malloc(picture->size);
    if (!picture->bytes
        || read(fd, picture->bytes, picture->size) != info.st_size) {
        give_up(path);
    }
    close(fd);
    album->npictures++;
}

void album_read(album_t *album, const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;

    if (!dir) {
        give_up(folder);
    }
    for (entry = readdir(dir); entry; entry = readdir(dir)) {
        read_picture(album, folder, entry->d_name);
    }
    closedir(dir);
}
