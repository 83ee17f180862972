#!/usr/bin/env bash
# Reproduces the published figures of a checkpoint: installs the project, downloads the checkpoint, runs it on your copy
# of the data set, and prints the measured figures beside the published ones. Started again, it resumes.
# docs/howto/benchmarks.md describes how to send the result.
#
#   bash scripts/reproduce.sh r50_aotl --root /data/DAVIS [OPTIONS of aotlab table]      (default: --dataset davis2017)
set -euo pipefail
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
.venv/bin/aotlab weights get "$1"
exec .venv/bin/aotlab table "$@"
