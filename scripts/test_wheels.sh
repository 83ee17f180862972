#!/usr/bin/env bash
# Installs the wheels in dist/ into an environment, and runs a command of each away from the checkout; the runtime gets
# its own environment, without PyTorch, and the exported model of build/release/.
#
#   bash scripts/test_wheels.sh [ENVIRONMENT]      (default: a new one; PYTHON chooses its interpreter)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$(bash scripts/version.sh)
checkout=$PWD
sample=$checkout/datasets/sample
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/light"
[ -n "${1:-}" ] || "${PYTHON:-python3}" -m venv "$work/fresh"
programs=bin
[ -d "$work/light/bin" ] || programs=Scripts # Windows
fresh=${1:-$work/fresh}/$programs light=$work/light/$programs
"$fresh/python" -m pip install --quiet "dist/aotlab-$version-py3-none-any.whl[all]" \
    "dist/aotlab_video-$version-py3-none-any.whl[images,ocio]" dist/aotlab_studio-"$version"-*.whl \
    dist/aotlab_compositing-"$version"-*.whl "dist/aotlab_trackers-$version-py3-none-any.whl[cutie,vot]"
"$light/python" -m pip install --quiet dist/aotlab_runtime-"$version"-*.whl pillow

cd "$work" # away from the checkout's packages
test "$("$fresh/aotlab" --version | tr -d '\r')" = "aotlab $version"
"$fresh/aotlab" info
"$fresh/aotlab" track "$sample/rabbit.mp4" --end 3 --mask "$sample/rabbit.png" --write masks,overlay,review --output tracked
"$fresh/aotlab" render tracked --write objects,coco
"$fresh/aotlab" track "$sample/rabbit.mp4" --end 1 --mask "$sample/rabbit.png" --write exr,prores --output plates
"$fresh/aotlab" convert tracked/masks tracked.json --to coco --video "$sample/rabbit.mp4"
test "$(find tracked/masks -name '*.png' | wc -l)" -eq 4
"$fresh/python" -c "from aotlab_trackers.cutie import CutieTracker"

mkdir frames
"$fresh/python" -c "
import sys
import av
for index, frame in zip(range(3), av.open(sys.argv[1]).decode(video=0)):
    frame.to_image().save(f'frames/{index}.jpg')
" "$sample/rabbit.mp4"
cp "$sample/rabbit.png" mask.png
"$light/python" -m zipfile -e "$checkout/build/release/aott_mini-854x480-$version.zip" exported
"$light/python" "$checkout/packages/runtime/examples/track.py"
test "$(find masks -name '*.png' | wc -l)" -eq 3
"$light/python" -c "import importlib.util; assert importlib.util.find_spec('torch') is None"
