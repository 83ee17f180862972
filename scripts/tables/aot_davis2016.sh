#!/usr/bin/env bash
# AOT on DAVIS 2016: our figures and the published ones. Options: see run.sh.
exec bash "$(dirname "${BASH_SOURCE[0]}")/run.sh" aot_davis2016 "$@"
