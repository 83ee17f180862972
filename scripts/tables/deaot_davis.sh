#!/usr/bin/env bash
# DeAOT on DAVIS: our figures and the published ones. Options: see run.sh.
exec bash "$(dirname "${BASH_SOURCE[0]}")/run.sh" deaot_davis "$@"
