#!/usr/bin/env bash
# AOT on DAVIS 2017: our figures and the published ones. Options: see run.sh.
exec bash "$(dirname "${BASH_SOURCE[0]}")/run.sh" aot_davis2017 "$@"
