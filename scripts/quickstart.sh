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
echo "watch $output/overlay.mp4 (by the bundled model, which is small: docs/models.md lists better ones)"
echo "before other commands: source .venv/bin/activate"
