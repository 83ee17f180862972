#!/usr/bin/env bash
# Ablation of AOT-S on YouTube-VOS 2018, without pre-training on single images: ours beside the published figures. Options: see run.sh.
exec bash "$(dirname "${BASH_SOURCE[0]}")/run.sh" aot_ablation "$@"
