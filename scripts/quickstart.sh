#!/usr/bin/env bash
# Installs the project, tracks a rabbit and three stones through a bundled video with the bundled model, scores the
# model on a bundled clip with known masks, and prints the path of the overlay video.
#
#   bash scripts/quickstart.sh [OUTPUT]      (default: results/quickstart)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh
set_up "[all]"

output=${1:-results/quickstart}
sample=datasets/sample
.venv/bin/aotlab track "$sample/rabbit.mp4" --mask "$sample/rabbit.png" --output "$output" --force
.venv/bin/aotlab eval --dataset davis2017 --root "$sample" --output "$output/davis2017"
echo "watch $output/overlay.mp4"
