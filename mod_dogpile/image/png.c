/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting a PNG: decode once, encode each window. Called by dp_image_split()
 * on a fetcher thread. What is kept, and what was measured, is in
 * docs/design/image.md.
 *
 * Invariant: all memory outside the pool is owned by the picture and the
 * encoder, and both are freed here, on every path.
 */
#include "image/png_priv.h"

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static apr_status_t encode_all(dp_cut_t *cut, dp_png_encoder_t *encoder)
{
    int i;

    for (i = 0; i < cut->nwindows; i++) {
        apr_status_t status = dp_png_encode(&cut->pieces[i], encoder,
                                            &cut->windows[i], cut->pool);

        if (status != APR_SUCCESS) {
            return status;
        }
    }
    return APR_SUCCESS;
}

apr_status_t dp_png_split(dp_cut_t *cut)
{
    dp_png_t png = {0};
    dp_png_encoder_t *encoder = NULL;
    int max_width = 1;
    int max_height = 1;
    int i;
    apr_status_t status = dp_png_read(&png, cut);

    if (status != APR_SUCCESS) {
        goto cleanup;
    }
    for (i = 0; i < cut->nwindows; i++) {
        max_width = larger(max_width, cut->windows[i].width);
        max_height = larger(max_height, cut->windows[i].height);
    }
    encoder = dp_png_encoder_make(&png, max_width, max_height);
    status = encoder ? encode_all(cut, encoder) : APR_ENOMEM;
    if (status != APR_SUCCESS) {
        cut->why = "no memory to encode the tiles";
    }

cleanup:
    dp_png_encoder_free(encoder);
    dp_png_free(&png);
    return status;
}
