#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every test and ends with a plain total: "N passed, M failed".
#
# `make test` builds what is named here and calls it at the top of the tree:
#
#   BUILD=build                 where the library and the modules are
#   UNIT="..." CONTRACT="..."   libcheck programs
#   FUZZ="build/tests/fuzz/fuzz_wms ..."
#                               replayed on tests/fuzz/corpus/wms/ and so on
#   SANITIZE=address            no checks of the product and no httpd, which
#                               isn't built with sanitizers
#   MPM=worker                  httpd's tests under this one only
#   PYTEST="-k herd"            more arguments for pytest
#   JOBS=2                      so many processors to use
#
# A part that runs nothing fails, and so does a test that skips itself: a
# missing server or a misspelt path must not look like success.
set -u
export LC_ALL=C

BUILD=${BUILD:-build}
export BUILD
export DOGPILE_MODULE="${DOGPILE_MODULE:-$PWD/$BUILD/modules/mod_dogpile.so}"
only=${MPM:-}
jobs=${JOBS:-$(nproc)}
reports=$BUILD/reports
rm -rf "$reports"
mkdir -p "$reports"
passed=0
failed=0

# Adds up one test, program or part: good, bad.
count() {
    passed=$((passed + $1))
    failed=$((failed + $2))
    part=$((part + $1 + $2))
}

part() {
    part=0
    title=$1
    echo "== $title"
}

end_part() {
    [ "$part" -gt 0 ] && return
    echo "FAILED $title: nothing ran"
    failed=$((failed + 1))
}

log_of() {
    echo "$reports/$(echo "${1#"$BUILD"/}" | tr / -).log"
}

# Runs programs side by side, those that take longest first. They mostly wait:
# one more than there are processors. What each said is in its log, followed by
# the code it ended with.
run_together() {
    # shellcheck disable=SC2016
    for program; do
        echo "$program" "$(log_of "$program")"
    done | xargs -r -L 1 -P $((jobs + 1)) sh -c \
        '"$0" >"$1" 2>&1; printf "\nexit %d\n" $? >>"$1"'
}

code_of() {
    sed -n '$s/^exit //p' "$(log_of "$1")"
}

# A libcheck program says "66%: Checks: 3, Failures: 1, Errors: 0". One that
# dies, leaks or says nothing else wrong counts as one failure.
count_check() {
    log=$(log_of "$1")
    code=$(code_of "$1")
    totals=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' "$log")
    # shellcheck disable=SC2086
    set -- "$1" ${totals:-0 0 0}
    bad=$(($3 + $4))
    if [ "$bad" -eq 0 ] && { [ "$code" != 0 ] || [ "$2" -eq 0 ]; }; then
        count "$2" 1
    else
        count $(($2 - bad)) "$bad"
        [ "$bad" -eq 0 ] && return
    fi
    echo "FAILED $1"
    sed 's/^/    /' "$log"
}

# A model says "ok ..." or "FAILED ..." for each thing it was asked.
count_models() {
    log=$(log_of "$models")
    good=$(grep -c '^ok ' "$log")
    bad=$(grep -c '^FAILED' "$log")
    [ "$(code_of "$models")" != 0 ] && [ "$bad" -eq 0 ] && bad=1
    count "$good" "$bad"
    [ "$bad" -eq 0 ] || sed 's/^/    /' "$log"
}

run_script() {
    log=$reports/check-${1##*/}.log
    if "$1" >"$log" 2>&1; then
        count 1 0
    else
        count 0 1
        echo "FAILED $1"
        sed 's/^/    /' "$log"
    fi
}

run_fuzz() {
    name=${1##*/fuzz_}
    corpus=tests/fuzz/corpus/$name
    log=$reports/fuzz-$name.log
    if [ -z "$(ls "$corpus" 2>/dev/null)" ]; then
        count 0 1
        echo "FAILED $1: $corpus is empty"
    elif find "$corpus" -type f -exec "$1" {} + >"$log" 2>&1; then
        count 1 0
    else
        count 0 1
        echo "FAILED $1"
        tail -n 40 "$log" | sed 's/^/    /'
    fi
}

# The number of an attribute of the first <testsuite> of a JUnit file.
suite() {
    sed -n "s/.*<testsuite [^>]*\\<$1=\"\\([0-9]*\\)\".*/\\1/p" \
        "$report" | head -n 1
}

# An MPM and the tests to run under it: side by side, but those of a file one
# after the other, as they may share a server.
run_pytest() {
    MPM=$1
    export MPM
    shift
    report=$reports/pytest-$MPM.xml
    # shellcheck disable=SC2086
    /usr/bin/python3 -m pytest -q --junit-xml="$report" \
        -n "$jobs" --dist loadfile ${PYTEST:-} "$@"
    code=$?
    total=0
    bad=0
    if [ -s "$report" ]; then
        total=$(suite tests)
        bad=$(($(suite failures) + $(suite errors) + $(suite skipped)))
    fi
    [ $code -ne 0 ] && [ $bad -eq 0 ] && count 0 1
    count $((total - bad)) $bad
}

models=
[ -n "${SANITIZE:-}" ] || models=tests/models/run.sh
# shellcheck disable=SC2086
run_together $models ${CONTRACT:-} ${UNIT:-}

part "unit tests"
for program in ${UNIT:-}; do count_check "$program"; done
end_part

part "contracts of lockers and stores"
for program in ${CONTRACT:-}; do count_check "$program"; done
end_part

part "fuzz corpus"
for program in ${FUZZ:-}; do run_fuzz "$program"; done
end_part

if [ -z "${SANITIZE:-}" ]; then
    part "models of the lock protocol"
    count_models
    end_part

    part "checks"
    for script in tests/checks/*.sh; do run_script "$script"; done
    end_part

    part "httpd, ${only:-event}"
    run_pytest "${only:-event}" tests/httpd
    end_part

    # What depends on how an MPM waits, forks and dies.
    for mpm in ${only:-worker prefork}; do
        [ "$mpm" = "$only" ] && continue
        part "httpd, $mpm"
        run_pytest "$mpm" tests/httpd/test_3*.py tests/httpd/test_4*.py \
            tests/httpd/test_6*.py
        end_part
    done
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
