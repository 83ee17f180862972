#!/usr/bin/env bash
# Ablation of AOT-S on YouTube-VOS 2018, without pre-training on single images: our figures and the published ones. Options: see run.sh.
exec bash "$(dirname "${BASH_SOURCE[0]}")/run.sh" aot_ablation "$@"
