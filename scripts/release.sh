#!/usr/bin/env bash
# Builds aotlab, aotlab-studio and aotlab-runtime into dist/, checks them, tracks the bundled clip with the wheels in a
# fresh environment, and tags the commit. Publishes nothing; it prints the commands that do.
#
#   bash scripts/release.sh [--no-tag]      (PYTHON chooses the interpreter)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' src/aotlab/__init__.py)
if [ "${1:-}" != "--no-tag" ]; then
    test -z "$(git status --porcelain)" || { echo "error: uncommitted changes; commit them" >&2; exit 2; }
    grep -q "^## $version ([0-9]" CHANGELOG.md || { echo "error: CHANGELOG.md: no '## $version (DATE)'" >&2; exit 2; }
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/tools"
"$work/tools/bin/python" -m pip install --quiet build twine
rm -rf dist
"$work/tools/bin/python" -m build --outdir dist .
"$work/tools/bin/python" -m build --outdir dist studio
"$work/tools/bin/python" -m build --outdir dist runtime
"$work/tools/bin/python" -m twine check --strict dist/*

"${PYTHON:-python3}" -m venv "$work/fresh"
"$work/fresh/bin/python" -m pip install --quiet "dist/aotlab-$version-py3-none-any.whl[all]" dist/aotlab_studio-"$version"-*.whl \
    dist/aotlab_runtime-"$version"-*.whl
sample=$PWD/datasets/sample
(
    cd "$work"
    test "$(fresh/bin/aotlab --version)" = "aotlab $version"
    fresh/bin/aotlab track "$sample/rabbit.mp4" --end 3 --mask "$sample/rabbit.png" --review --output tracked
    fresh/bin/aotlab convert tracked/masks tracked.json --to coco --video "$sample/rabbit.mp4"
    test "$(find tracked/masks -name '*.png' | wc -l)" -eq 4
    fresh/bin/python -c "import aotlab_runtime"
)

if [ "${1:-}" != "--no-tag" ]; then
    git tag --annotate "v$version" --message "aotlab $version"
    echo "tagged v$version; to publish: git push origin v$version && twine upload dist/*"
fi
