#!/usr/bin/env bash
# RMem and ERMU on VOST: our figures and the published ones. Options: see run.sh.
exec bash "$(dirname "${BASH_SOURCE[0]}")/run.sh" vost "$@"
