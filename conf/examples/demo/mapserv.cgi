#!/bin/sh
# A slow map server: counts the request, waits, then lets MapServer render.
printf . >>"$DEMO_COUNT"
sleep "$DEMO_DELAY"
exec /usr/lib/cgi-bin/mapserv
