#!/usr/bin/env bash
# AOT on YouTube-VOS: ours beside the published figures. Options: see run.sh.
exec bash "$(dirname "${BASH_SOURCE[0]}")/run.sh" aot_youtubevos "$@"
