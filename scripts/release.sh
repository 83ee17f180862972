#!/usr/bin/env bash
# Builds aotlab, aotlab-studio, aotlab-compositing, aotlab-trackers and aotlab-runtime into dist/, checks them, tracks the bundled clip
# with the wheels in a fresh environment, and tags the commit. Publishes nothing: .github/workflows/release.yml does, once the tag is pushed.
#
#   bash scripts/release.sh [--no-tag]      (PYTHON chooses the interpreter)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' src/aotlab/__init__.py)
if [ "${1:-}" != "--no-tag" ]; then
    test -z "$(git status --porcelain)" || { echo "error: uncommitted changes; commit them" >&2; exit 2; }
    bash scripts/release_notes.sh "$version" >/dev/null
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/tools"
"$work/tools/bin/python" -m pip install --quiet build twine
rm -rf dist
"$work/tools/bin/python" -m build --outdir dist .
"$work/tools/bin/python" -m build --outdir dist studio
"$work/tools/bin/python" -m build --outdir dist compositing
"$work/tools/bin/python" -m build --outdir dist trackers
"$work/tools/bin/python" -m build --outdir dist runtime
"$work/tools/bin/python" -m twine check --strict dist/*

bash scripts/test_wheels.sh

if [ "${1:-}" != "--no-tag" ]; then
    git tag --annotate "v$version" --message "aotlab $version"
    echo "tagged v$version; to publish: git push origin v$version"
fi
