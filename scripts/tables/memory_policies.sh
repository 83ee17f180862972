#!/usr/bin/env bash
# Plays every sequence of DAVIS 2017 (AOTLAB_DAVIS2017, default datasets/DAVIS) three times, alternating in direction.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/setup.sh
set_up "[all]"
davis=${AOTLAB_DAVIS2017:-datasets/DAVIS}
looped=results/davis2017_looped
if [ -d "$davis" ] && [ ! -e "$looped" ]; then
    .venv/bin/python -m research.speed.loop_davis "$davis" "$looped" --times 3
fi
exec .venv/bin/aotlab table memory_policies "$@"
