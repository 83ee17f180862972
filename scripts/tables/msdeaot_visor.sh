#!/usr/bin/env bash
# MSDeAOT on VISOR: ours beside the published figures. Options: see run.sh.
exec bash "$(dirname "${BASH_SOURCE[0]}")/run.sh" msdeaot_visor "$@"
