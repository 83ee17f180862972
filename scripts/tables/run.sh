#!/usr/bin/env bash
# Runs a table of configs/tables, our figures beside the published ones; installs the project first if need be.
#
#   bash scripts/tables/run.sh NAME [--device cuda] [--ranks N] [--smoke] [--output DIR]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [ $# -eq 0 ] || [ ! -f "configs/tables/$1.yaml" ]; then
    echo "usage: bash scripts/tables/run.sh NAME [options of aotlab table]; NAME is one of:" >&2
    basename -s .yaml configs/tables/*.yaml >&2
    exit 2
fi
source scripts/setup.sh
set_up "[all]"
exec .venv/bin/aotlab table "$@"
