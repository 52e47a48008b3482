#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prevents: a directive that the manual doesn't know, or one in the manual or
# in the reference configuration that httpd doesn't. A section is a name of its
# own: <DogpileLocker> in code, "### <DogpileLocker>" in the manual.
set -eu
export LC_ALL=C

manual=docs/mod/mod_dogpile.md
reference=conf/dogpile-reference.conf
for file in "$manual" "$reference"; do
    [ -s "$file" ] || { echo "$file: missing"; exit 1; }
done
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# AP_INIT_TAKE1("DogpileName", ... and AP_INIT_RAW_ARGS("<DogpileName", ...
cat mod_dogpile/httpd/*.c | tr -s ' \t\n' ' ' |
    grep -oE 'AP_INIT_[A-Z0-9_]+\( ?"<?Dogpile[A-Za-z0-9]+' |
    sed -E 's/.*"//; s/^(<.*)$/\1>/' | sort -u >"$work/code"
sed -nE 's/&lt;/</; s/&gt;/>/; s/[`\\]//g
    s/^###+ (<?Dogpile[A-Za-z0-9]+>?).*/\1/p' "$manual" |
    sort -u >"$work/manual"
sed -nE 's/^#? *(<?Dogpile[A-Za-z0-9]+)([ >].*)?$/\1/p' "$reference" |
    sed -E 's/^(<.*)$/\1>/' | sort -u >"$work/reference"
[ -s "$work/code" ] || { echo "mod_dogpile/httpd: no directives"; exit 1; }

for place in manual reference; do
    comm -23 "$work/code" "$work/$place" | sed "s/\$/: not in the $place/"
    comm -13 "$work/code" "$work/$place" | sed "s/\$/: only in the $place/"
done >"$work/findings"
cat "$work/findings"
[ ! -s "$work/findings" ]
