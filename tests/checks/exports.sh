#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prevents: a name of ours that leaks into httpd's one name space, where it may
# meet another module's. Every module exports its module record only.
set -eu
export LC_ALL=C

folder=${BUILD:-build}/modules
[ -s "$folder/mod_dogpile.so" ] || {
    echo "$folder/mod_dogpile.so: not built"
    exit 1
}

bad=0
for module in "$folder"/mod_*.so; do
    name=${module##*/mod_}
    wanted=${name%.so}_module
    found=$(nm -D --defined-only "$module" | awk '{ print $NF }' |
        grep -Ev '^(_init|_fini|_edata|_end|__bss_start)$|asan|ubsan|gcov' |
        sort | tr '\n' ' ')
    if [ "$found" != "$wanted " ]; then
        echo "$module: exports '$found', not '$wanted '"
        bad=1
    fi
done
exit $bad
