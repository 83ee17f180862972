#!/usr/bin/env bash
# Builds the packages into dist/, and the demo page and an exported model into build/release/, which need Node 20; checks
# them with scripts/test_wheels.sh, and tags the commit. Publishes nothing: .github/workflows/release.yml does, once the
# tag is pushed.
#
#   bash scripts/release.sh [--no-tag]      (PYTHON chooses the interpreter)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$(bash scripts/version.sh)
if [ "${1:-}" != "--no-tag" ]; then
    test -z "$(git status --porcelain)" || { echo "error: uncommitted changes; commit them" >&2; exit 2; }
    bash scripts/release_notes.sh "$version" >/dev/null
fi

checkout=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=$work/tools/bin/python fresh=$work/fresh/bin/python
"${PYTHON:-python3}" -m venv "$work/tools"
"${PYTHON:-python3}" -m venv "$work/fresh"
"$python" -m pip install --quiet build twine
rm -rf dist build/release build/demo
for project in . packages/{video,studio,compositing,trackers,runtime}; do
    "$python" -m build --outdir dist "$project"
done
"$python" -m twine check --strict dist/*

bash scripts/test_wheels.sh --framework "$work/fresh"
"$fresh" -m pip install --quiet "dist/aotlab-$version-py3-none-any.whl[export]" dist/aotlab_video-"$version"-*.whl
(cd "$work" && "$fresh" "$checkout/packages/demo/build.py" "$checkout/build/demo") # away from the checkout's packages
mkdir -p build/release
cp build/demo/models/480p.zip "build/release/aott_mini-854x480-$version.zip"
(cd build/demo && "$python" -m zipfile -c "../release/aotlab-demo-$version.zip" .)

bash scripts/test_wheels.sh "$work/fresh"

if [ "${1:-}" != "--no-tag" ]; then
    git tag --annotate "v$version" --message "aotlab $version"
    echo "tagged v$version; to publish: git push origin v$version"
fi
