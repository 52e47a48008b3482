#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prevents: files and functions that grow until nobody reads them to the end.
# No file over 500 lines, no function over 80; from 350 lines on, a warning.
set -eu
export LC_ALL=C

ls mod_dogpile/*/*.c >/dev/null

find mod_dogpile tests -name '*.[ch]' | sort | xargs awk '
function close_file() {
    if (lines > 500) { print file ": " lines " lines (500)"; bad = 1 }
    else if (lines > 350)
        print file ": warning: " lines " lines" >"/dev/stderr"
}
FNR == 1 { close_file(); file = FILENAME; start = 0 }
{ lines = FNR }
/^{$/ { start = FNR }
/^}$/ && start {
    if (FNR - start + 1 > 80) {
        print file ":" start ": function of " FNR - start + 1 " lines (80)"
        bad = 1
    }
    start = 0
}
END { close_file(); exit bad }'
