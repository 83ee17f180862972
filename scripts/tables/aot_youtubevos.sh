#!/usr/bin/env bash
# AOT on YouTube-VOS: our figures and the published ones. Options: see run.sh.
exec bash "$(dirname "${BASH_SOURCE[0]}")/run.sh" aot_youtubevos "$@"
