#!/usr/bin/env bash
# Installs the wheels in dist/ into an environment, and runs a command of each away from the checkout: the framework by
# itself trains and scores, then come the packages; the runtime gets its own environment, without PyTorch, and the
# exported model of build/release/.
#
#   bash scripts/test_wheels.sh [--framework] [ENVIRONMENT]  (default: a new one; PYTHON chooses its interpreter)
#     --framework    the framework by itself only
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$(bash scripts/version.sh)
checkout=$PWD dist=$PWD/dist
sample=$checkout/datasets/sample
only=
if [ "${1:-}" = "--framework" ]; then
    only=1
    shift
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -n "${1:-}" ] || "${PYTHON:-python3}" -m venv "$work/fresh"
environment=${1:-$work/fresh}
programs=bin
[ -d "$environment/bin" ] || programs=Scripts # Windows
fresh=$environment/$programs
cd "$work" # away from the checkout's packages

if ! "$fresh/python" -c "import aotlab_video" 2>/dev/null; then
    "$fresh/python" -m pip install --quiet "$dist/aotlab-$version-py3-none-any.whl[train,score]"
    cat >recipe.yaml <<END
base: aott
name: wheel
data: {root: "$sample", workers: 0}
train:
  output: trained
  phases:
    - {name: video, steps: 2, batch: 1, clip_length: 3, crop: 129, lr: 1.0e-4, sources: [{path: ".", max_gap: 1}]}
END
    "$fresh/aotlab" train --config recipe.yaml
    "$fresh/aotlab" eval --dataset davis2017 --root "$sample" --checkpoint trained/video.safetensors --output results \
        input.max_long_edge=160
    "$fresh/aotlab" score --dataset davis2017 --root "$sample" results
    status=0
    "$fresh/aotlab" track "$sample/rabbit.mp4" --mask "$sample/rabbit.png" --output tracked 2>message || status=$?
    test "$status" -eq 2
    grep "aotlab track: not installed; pip install ./packages/video in a checkout" message
fi
[ -z "$only" ] || exit 0

"${PYTHON:-python3}" -m venv "$work/light"
light=$work/light/$programs
"$fresh/python" -m pip install --quiet "$dist/aotlab-$version-py3-none-any.whl[all]" \
    "$dist/aotlab_video-$version-py3-none-any.whl[images,ocio]" "$dist/aotlab_studio-$version-py3-none-any.whl" \
    "$dist/aotlab_compositing-$version-py3-none-any.whl" "$dist/aotlab_trackers-$version-py3-none-any.whl[cutie,vot]"
"$light/python" -m pip install --quiet "$dist/aotlab_runtime-$version-py3-none-any.whl" pillow

test "$("$fresh/aotlab" --version | tr -d '\r')" = "aotlab $version"
"$fresh/aotlab" info
"$fresh/aotlab" vot --help
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
