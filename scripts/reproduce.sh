#!/usr/bin/env bash
# Reproduces published figures: installs the project, and runs `aotlab table` with the same arguments, from the current
# folder. docs/howto/reproduce.md describes the tables, and how to send results.
#
# After `pip install --no-deps deaotpy` into .venv, the authors' own code is scored too.
#
#   bash scripts/reproduce.sh r50_aotl --dry-run                # lists downloads and the time
#   bash scripts/reproduce.sh r50_aotl --download --tolerance 0.2
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh
set_up "[all]"
programs=$PWD/.venv/bin
cd "$here"
status=0
"$programs/aotlab" table "$@" || status=$?
# the same checkpoint by the authors' own code, on the data set that --download has fetched
if [[ " $* " == *" --download "* && " $* " != *" --dataset "* ]] && "$programs/python" -c "import aot" 2>/dev/null &&
    "$programs/python" -c "import sys; from aotlab_trackers.loading import AUTHORS_MODELS; sys.exit('$1' not in AUTHORS_MODELS)"; then
    echo "The authors' own code with the same checkpoint:"
    "$programs/aotlab" eval --dataset davis2017 --checkpoint "authors:$1:$1" --output "results/tables/authors_$1"
fi
exit "$status"
