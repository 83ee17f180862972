#!/usr/bin/env bash
# DeAOT on DAVIS: ours beside the published figures. Options: see run.sh.
exec bash "$(dirname "${BASH_SOURCE[0]}")/run.sh" deaot_davis "$@"
