#!/usr/bin/env bash
# MSDeAOT on VISOR: our figures and the published ones. Options: see run.sh.
exec bash "$(dirname "${BASH_SOURCE[0]}")/run.sh" msdeaot_visor "$@"
