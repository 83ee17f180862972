#!/usr/bin/env bash
# Reproduces published figures: installs the project, and runs `aotlab table` with the same arguments, from the current
# folder. docs/howto/reproduce.md describes the tables, and how to send results.
#
#   bash scripts/reproduce.sh r50_aotl --dry-run                # lists downloads and the time
#   bash scripts/reproduce.sh r50_aotl --download --tolerance 0.2
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh
set_up "[all]"
aotlab=$PWD/.venv/bin/aotlab
cd "$here"
exec "$aotlab" table "$@"
