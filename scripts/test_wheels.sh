#!/usr/bin/env bash
# Installs the wheels in dist/ into a fresh environment, and tracks the bundled clip and converts its masks with them.
#
#   bash scripts/test_wheels.sh      (PYTHON chooses the interpreter)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' src/aotlab/__init__.py)
checkout=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/fresh"
programs=$work/fresh/bin
[ -d "$programs" ] || programs=$work/fresh/Scripts # Windows
"$programs/python" -m pip install --quiet "dist/aotlab-$version-py3-none-any.whl[all]" dist/aotlab_studio-"$version"-*.whl \
    dist/aotlab_compositing-"$version"-*.whl dist/aotlab_trackers-"$version"-*.whl dist/aotlab_runtime-"$version"-*.whl
cd "$work" # away from the checkout's packages
test "$("$programs/aotlab" --version | tr -d '\r')" = "aotlab $version"
"$programs/aotlab" info
sample=$checkout/datasets/sample
"$programs/aotlab" track "$sample/rabbit.mp4" --end 3 --mask "$sample/rabbit.png" --write masks,overlay,review --output tracked
"$programs/aotlab" render tracked --write objects,coco
"$programs/aotlab" track "$sample/rabbit.mp4" --end 1 --mask "$sample/rabbit.png" --write exr,prores --output plates
"$programs/aotlab" convert tracked/masks tracked.json --to coco --video "$sample/rabbit.mp4"
test "$(find tracked/masks -name '*.png' | wc -l)" -eq 4
"$programs/python" -c "import aotlab_runtime"
