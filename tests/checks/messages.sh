#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prevents: a number in the error log that docs/MESSAGES.md can't explain, an
# explanation of what is never said, and one number for two texts. There, a
# message begins a heading or a row: "### DP0701", "| DP0701 |".
set -eu
export LC_ALL=C

book=docs/MESSAGES.md
[ -s "$book" ] || { echo "$book: missing"; exit 1; }
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# Calls as one line each, cut after the argument that is the number.
# dp_config_refuse() takes it where dp_log() does: after two others.
cat mod_dogpile/*/*.c | tr -s ' \t\n' ' ' |
    grep -oE '\<(dp_log|dp_config_refuse)\(([^,;]*,){3}|\<dp_[sr]log\(([^,;]*,){4}' \
    >"$work/calls"
[ -s "$work/calls" ] || { echo "mod_dogpile: no messages"; exit 1; }
sed -nE 's/.*[ ,]([0-9]+),$/\1/p' "$work/calls" |
    awk '{ printf "DP%04d\n", $1 }' | sort >"$work/used"
sort -u "$work/used" >"$work/code"
sed -nE 's/^(#+|\|) *[`*]*(DP[0-9]{4}).*/\2/p' "$book" | sort >"$work/listed"
sort -u "$work/listed" >"$work/book"

{
    # Only a function that hands a number on may call it `id`; in its own
    # head that is "int id".
    grep -vE '[ ,]([0-9]+|id|int id),$' "$work/calls" |
        sed 's/$/: the number is not a literal/' || true
    uniq -d "$work/used" | sed 's/$/: used for two texts/'
    uniq -d "$work/listed" | sed "s|\$|: twice in $book|"
    comm -23 "$work/code" "$work/book" | sed "s|\$|: not in $book|"
    comm -13 "$work/code" "$work/book" | sed "s|\$|: only in $book|"
} >"$work/findings"
cat "$work/findings"
[ ! -s "$work/findings" ]
