/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void dp_digest(dogpile_digest_t *digest, const void *bytes, apr_size_t size)
{
    /* Fails only where the library has no SHA-256 at all; a wrong key would
     * hand out wrong maps, so there is nothing to go on with. */
    if (!EVP_Digest(bytes, size, digest->bytes, NULL, EVP_sha256(), NULL)) {
        abort();
    }
}

int dp_digest_equal(const dogpile_digest_t *a, const dogpile_digest_t *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void dp_id_make(dogpile_id_t *id)
{
    do {
        /* Blocks only before the system's random source is first ready;
         * reads of up to 256 bytes are never short (getrandom(2)). */
        if (getrandom(id->bytes, sizeof(id->bytes), 0)
            != (ssize_t)sizeof(id->bytes)) {
            abort();
        }
    } while (dp_id_is_none(id));
}

int dp_id_equal(const dogpile_id_t *a, const dogpile_id_t *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

int dp_id_is_none(const dogpile_id_t *id)
{
    static const dogpile_id_t none;

    return dp_id_equal(id, &none);
}

char *dp_hex(char *text, const void *bytes, apr_size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *b = bytes;
    apr_size_t i;

    for (i = 0; i < size; i++) {
        text[2 * i] = digits[b[i] >> 4];
        text[2 * i + 1] = digits[b[i] & 15];
    }
    text[2 * size] = '\0';
    return text;
}

int dp_hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int dp_unhex(void *bytes, apr_size_t size, const char *text)
{
    unsigned char *b = bytes;
    apr_size_t i;

    for (i = 0; i < size; i++) {
        int high = dp_hex_value(text[2 * i]);
        int low = high < 0 ? -1 : dp_hex_value(text[2 * i + 1]);

        if (low < 0) {
            return 0;
        }
        b[i] = (unsigned char)(high << 4 | low);
    }
    return text[2 * size] == '\0';
}
