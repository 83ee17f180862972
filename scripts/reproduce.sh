#!/usr/bin/env bash
# Reproduces the published figures of a checkpoint: installs the project, downloads the checkpoint, runs it on your copy
# of the data set, and prints the measured figures beside the published ones. Started again, it resumes.
# Results are written to results/tables in the current folder. docs/howto/benchmarks.md describes how to send them.
#
#   bash scripts/reproduce.sh r50_aotl --root /data/DAVIS [OPTIONS of aotlab table]      (default: --dataset davis2017)
set -euo pipefail
folder=$PWD # relative paths in options start here
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh
names=$(sed -n 's/^\([^ #]*\):$/\1/p' networks/weights/published.yaml)
if [[ " $* " = *" --help "* || " $* " = *" -h "* ]]; then
    sed -n "2,/^set/s/^# \{0,1\}//p" scripts/reproduce.sh
    printf '\nnames:\n%s\n' "$names"
    exit
fi
if ! grep -Fqx -- "${1--}" <<<"$names"; then
    echo "error: ${1:-no name}: give a name in aotlab weights: ${names//$'\n'/, }" >&2
    exit 2
fi
set_up "[all]"
aotlab=$PWD/.venv/bin/aotlab
cd "$folder"
exec "$aotlab" table "$@"
