#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prevents: a variable at file scope left of httpd/, which threads would share
# unguarded and tests would inherit from each other. Tables of constants that
# only the loader writes (.data.rel.ro) are fine.
set -eu
export LC_ALL=C

library=${BUILD:-build}/libdogpile.a
[ -s "$library" ] || { echo "$library: not built"; exit 1; }

# The compiler's own variables of sanitizers and coverage are not ours.
objdump -t "$library" | awk '
/^[^ ]+\.o: / { object = $1; sub(/:$/, "", object) }
/ (\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ && !/ \.data\.rel\.ro/ {
    name = $NF
    if (name ~ /^\./ || name ~ /asan|ubsan|tsan|gcov|llvm/) next
    print object ": writable at file scope: " name; bad = 1
}
END { exit bad }'
