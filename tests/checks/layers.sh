#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prevents: a room that reaches to its right, or around its neighbour, so that
# nothing can be tested or replaced alone any more. The order is the line
# ROOMS of the Makefile; modules/ and tools/ come after all of them.
set -eu
export LC_ALL=C

rooms=$(sed -n 's/^ROOMS := //p' Makefile)
[ -n "$rooms" ] || { echo "Makefile: no line ROOMS"; exit 1; }
ls mod_dogpile/*/*.c >/dev/null

find mod_dogpile -name '*.[ch]' -exec \
    grep -nH '^[[:space:]]*#[[:space:]]*include' {} + |
awk -v rooms="$rooms" '
function say(why) { print at ": " why; bad = 1 }
BEGIN { n = split(rooms " modules tools", name, " ")
        for (i = 1; i <= n; i++) rank[name[i]] = i }
{
    split($0, part, ":"); at = part[1] ":" part[2]
    split(part[1], dir, "/"); room = dir[2]
    quoted = $0 ~ /include[ \t]*"/
    file = $0
    sub(/^[^"<]*["<]/, "", file); sub(/[">].*/, "", file)
    other = file ~ /\// ? substr(file, 1, index(file, "/") - 1) : ""

    if (!(room in rank)) say("no such room: " room)
    if (quoted && other == "") {
        if (file !~ /^dogpile_(types|locker|store)\.h$/)
            say("\"" file "\" names no room")
    } else if (quoted) {
        if (!(other in rank)) say("\"" file "\" is in no room")
        else if (rank[other] > rank[room]) say(room " includes " file)
        if (room == "include") say("include/ needs " file)
        if (room == "flight" && other ~ /^(lock|store|image|request|grid)$/)
            say("flight sees " file)
        if (room == "tools" && other == "httpd") say("tools need " file)
    } else if (file ~ /^(httpd|http_[a-z0-9_]+|ap_[a-z0-9_]+|util_[a-z0-9_]+|mod_[a-z0-9_]+|scoreboard|mpm_common|unixd)\.h$/) {
        if (room != "httpd" && room != "modules") say(room " includes " file)
    } else if (file ~ /^(png|jpeglib|jerror|jpegint|turbojpeg)\.h$/) {
        if (room != "image") say(room " includes " file)
    } else if (other == "openssl") {
        # TLS to a redis is the one other use.
        if (room != "base" && part[1] !~ /lock\/redis_tls\.c$/)
            say(room " includes " file)
    }
}
END { exit bad }'
