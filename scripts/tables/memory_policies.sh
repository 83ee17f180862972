#!/usr/bin/env bash
# All memory policies on long versions of DAVIS 2017: every sequence forward and backward TIMES times (default 3).
# Options: see run.sh; AOTLAB_DAVIS2017 is the folder of DAVIS itself (default datasets/DAVIS).
#
#   AOTLAB_DAVIS2017=/data/DAVIS TIMES=5 bash scripts/tables/memory_policies.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/setup.sh
set_up "[all]"
davis=${AOTLAB_DAVIS2017:-datasets/DAVIS}
times=${TIMES:-3}
looped=$PWD/results/davis2017_times_$times
if [ -d "$davis" ] && [[ " $* " != *" --smoke "* ]]; then
    .venv/bin/python -m research.speed.loop_davis "$davis" "$looped" --times "$times"
    export AOTLAB_DAVIS2017=$looped
fi
exec bash "scripts/tables/run.sh" memory_policies "$@"
