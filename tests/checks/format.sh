#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prevents: changes that drown in white space. `make format` lays the code out.
set -eu
export LC_ALL=C

files=$(git ls-files '*.c' '*.h')
[ -n "$files" ] || { echo "no tracked C files"; exit 1; }
command -v clang-format >/dev/null || { echo "clang-format: missing"; exit 1; }

# No file name of ours has a space.
# shellcheck disable=SC2086
if said=$(clang-format --dry-run --Werror $files 2>&1); then
    exit 0
fi
echo "$said" | grep -E ': (error|warning):' || echo "$said"
exit 1
