#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Checks the models of the lock protocol with Spin, every reachable state of
# them, and that each of them is found faulty where it is broken on purpose.
#
#   tests/models/run.sh          what `make test` runs: under 20 s and 1 GB each
#   tests/models/run.sh deep     larger scopes as well: minutes, up to 4 GB
#
# Needs spin and a C compiler (CC). Prints a line a check, "ok ..." or
# "FAILED ...", and fails if one failed or couldn't be finished: an error that
# wasn't looked for to the end isn't absent.
set -u
export LC_ALL=C

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failed=0
memory_mb=1000
seconds=300

say() {
    echo "$1"
    case $1 in FAILED*) failed=1 ;; esac
}

# Build a verifier in $work: model, what is asked of it. Liveness needs another
# one than safety.
build() {
    rm -rf "$work/run"
    mkdir "$work/run"
    case $2 in
    *-DLIVE*) kind="-DNP -DNFAIR=4" ;;
    *) kind=-DSAFETY ;;
    esac
    # shellcheck disable=SC2086
    (cd "$work/run" &&
        spin $2 -a "$here/$1" &&
        "${CC:-cc}" -O2 -w $kind -DCOLLAPSE "-DMEMLIM=$memory_mb" \
            -o pan pan.c) >"$work/build" 2>&1
}

# Where a process may stop for good (-E): only the chain goes on for ever.
options() {
    case "$1 $2" in
    *-DLIVE*) printf '%s\n' "-l -f" ;;
    chain.pml*) ;;
    *) printf '%s\n' -E ;;
    esac
}

# check MODEL "-DASKED ..." EXPECTED: "holds", or what Spin says of a fault.
check() {
    what="${1%.pml}${2:+ $(echo "$2" | sed 's/-D//g')}"
    if ! build "$1" "$2"; then
        say "FAILED $what: can't be built"
        sed 's/^/    /' "$work/build"
        return
    fi
    # shellcheck disable=SC2046
    (cd "$work/run" &&
        timeout "$seconds" ./pan -m3000000 $(options "$1" "$2")) \
        >"$work/said" 2>&1
    code=$?
    states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' "$work/said")
    if [ "$3" = holds ]; then
        if [ $code -eq 0 ] && grep -q 'errors: 0$' "$work/said" &&
            ! grep -Eq 'not completed|too small|out of memory' "$work/said"
        then
            say "ok $what: holds in all $states states"
            return
        fi
    elif grep -q "^pan:1: $3" "$work/said"; then
        say "ok $what: found faulty, as it is"
        return
    fi
    say "FAILED $what: expected: $3 (exit $code)"
    sed 's/^/    /' "$work/said"
}

command -v spin >/dev/null || { say "FAILED spin: missing"; exit 1; }

any="-DCRASH -DFLUSH -DCUT"
found="assertion violated"

check chain.pml "-DFAULTS=2 $any -DPAUSE -DCOMMON -DQUIET=3 -DSURPLUS" holds
check chain.pml "-DFAULTS=1 $any -DALONE" holds
check chain.pml "-DFAULTS=2 $any -DLASTING -DLIVE" holds
check chain.pml "-DFAULTS=1 $any -DPAUSE -DLASTING -DLIVE" holds
check chain.pml "-DNO_TAKE_BACK -DFAULTS=2 $any -DCOMMON -DQUIET=3" "$found"
check chain.pml "-DUPPER_ONLY -DFAULTS=1 -DCUT -DQUIET=3" "$found"
check chain.pml "-DOPPOSITE -DFAULTS=1 -DLASTING -DLIVE" "non-progress cycle"

check fence.pml "-DEVICT" holds
check fence.pml "-DCOUNTER" "$found"
check fence.pml "-DNUMBER -DEVICT" "$found"
check fence.pml "-DNO_GUARD" "$found"

check disk.pml "-DCONTENDERS=2 -DTOKENS=4 -DUNLINKS=1 -DTEARS=1" holds
check disk.pml "-DCONTENDERS=3 -DTOKENS=4 -DUNLINKS=0 -DTEARS=0" holds
check disk.pml "-DNO_FLOCK" "$found"
check disk.pml "-DNO_CHECK" "$found"
check disk.pml "-DNO_MERCY" "$found"

check disk_rename.pml \
    "-DCONTENDERS=2 -DTOKENS=3 -DENDINGS=1 -DLOSSES=0 -DBLURS=0" holds
check disk_rename.pml "-DCONTENDERS=2 -DTOKENS=2" holds
check disk_rename.pml "-DCONTENDERS=2 -DTOKENS=2 -DRENEW" holds
check disk_rename.pml "-DCONTENDERS=2 -DBLIND" "$found"
check disk_rename.pml "-DCONTENDERS=2 -DNO_MERCY" "$found"
check disk_rename.pml "-DCONTENDERS=2 -DTOKENS=2 -DHASTY" "$found"
check disk_rename.pml "-DCONTENDERS=2 -DTOKENS=2 -DCREDULOUS" "$found"
check disk_rename.pml "-DCONTENDERS=2 -DTOKENS=2 -DSORE_LOSER" "$found"

check memcache.pml "" holds
check memcache.pml "-DPLAIN_DELETE" "$found"
check memcache.pml "-DOLD_CAS" "$found"
check memcache.pml "-DRECONNECT" "$found"

if [ "${1:-}" = deep ]; then
    memory_mb=4000
    seconds=1800
    check chain.pml "-DFAULTS=3 $any -DPAUSE -DCOMMON -DQUIET=4" holds
    check chain.pml "-DHOSTS=3 -DFAULTS=1 $any -DALONE" holds
    check chain.pml "-DHOSTS=3 -DFAULTS=1 $any -DPAUSE -DQUIET=3 -DSURPLUS" \
        holds
    check chain.pml "-DPOLL -DHOSTS=3 -DFAULTS=2 -DCUT -DCOMMON -DQUIET=3" \
        "$found"
    check disk.pml "-DCONTENDERS=3 -DTOKENS=3 -DUNLINKS=1 -DTEARS=1" holds
    check disk_rename.pml "-DCONTENDERS=2 -DENDINGS=1" holds
    check disk_rename.pml "-DCONTENDERS=3 -DTOKENS=2 -DENDINGS=1 -DLOSSES=0" \
        holds
fi
exit $failed
