#!/usr/bin/env bash
# Installs the project, tracks four objects through the bundled clip with the bundled model,
# scores the masks against the true ones, and says where to look.
#
#   bash scripts/quickstart.sh [OUTPUT]      (default: results/quickstart)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh
set_up "[all]"

output=${1:-results/quickstart}
clip=datasets/sample
.venv/bin/python tools/track.py "$clip/JPEGImages/480p/pond" \
    --mask "$clip/Annotations/480p/pond/00000.png" --output "$output" --overwrite
.venv/bin/python tools/eval.py --dataset davis2017 --root "$clip" --output "$output/davis2017"
echo "watch $output/overlay.mp4"
