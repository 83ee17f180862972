#!/usr/bin/env bash
# RMem and ERMU on VOST: ours beside the published figures. Options: see run.sh.
exec bash "$(dirname "${BASH_SOURCE[0]}")/run.sh" vost "$@"
