#!/usr/bin/env bash
# Runs a table of configs/tables, our figures beside the published ones; installs the project first if need be. The other
# scripts of this folder call it with their names.
#
#   bash scripts/tables/aot_davis2017.sh [--device cuda] [--ranks N] [--smoke] [--output DIR]
set -euo pipefail
table=$1
shift
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/setup.sh
set_up "[all]"
exec .venv/bin/aotlab table "$table" "$@"
