#!/usr/bin/env bash
# Installs the project, tracks a rabbit and three stones through a bundled video with the bundled model, and prints the
# path of the overlay video.
#
#   bash scripts/quickstart.sh [OUTPUT]      (default: results/quickstart)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh
set_up "[all]"

output=${1:-results/quickstart}
sample=datasets/sample
.venv/bin/aotlab track "$sample/rabbit.mp4" --mask "$sample/rabbit.png" --output "$output" --force
echo "Watch $output/overlay.mp4. The bundled model is small; docs/models.md lists better ones."
echo "Before other commands, run: source .venv/bin/activate"
