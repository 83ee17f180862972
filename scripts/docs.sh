#!/usr/bin/env bash
# Builds the documentation site into build/docs; a warning is an error.
#
#   bash scripts/docs.sh [sphinx-build options]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ ! -x .venv/bin/sphinx-build ]; then
    source scripts/setup.sh
    set_up "[docs]"
fi
.venv/bin/sphinx-build --fail-on-warning --keep-going --quiet -b html "$@" docs build/docs
echo "open build/docs/index.html"
