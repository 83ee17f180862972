#!/usr/bin/env bash
# Runs one table: installs the project first if need be. The scripts beside this one call it with their name.
#
#   bash scripts/tables/aot_davis2017.sh [--device cuda] [--ranks N] [--smoke] [--output DIR]
set -euo pipefail
table=$1
shift
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/setup.sh
set_up "[all]"
exec .venv/bin/aotlab table "$table" "$@"
