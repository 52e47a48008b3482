#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prevents: references to papers that a reader of this tree doesn't have. What
# they say belongs into docs/design/.
set -eu
export LC_ALL=C

[ -n "$(git ls-files)" ] || { echo "no tracked files"; exit 1; }

# The brackets keep this file from finding itself.
if git grep -nIE '(DESIG[N]|HOUS[E])\.md|/wor[k]/|(^|[^/[:alnum:]_-])share[d]/'
then
    exit 1
fi
