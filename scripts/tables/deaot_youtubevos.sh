#!/usr/bin/env bash
# DeAOT on YouTube-VOS: ours beside the published figures. Options: see run.sh.
exec bash "$(dirname "${BASH_SOURCE[0]}")/run.sh" deaot_youtubevos "$@"
