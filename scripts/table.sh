#!/usr/bin/env bash
# Reproduces a table of a paper: installs the project, runs the models on the benchmark, and prints the published
# figures beside those found. Started again, it resumes. docs/howto/benchmarks.md names the tables.
#
#   bash scripts/table.sh aot_davis2017 [OPTIONS of aotlab table]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh
set_up "[all]"
exec .venv/bin/aotlab table "$@"
