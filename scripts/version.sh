#!/usr/bin/env bash
# Prints the version, or sets it in all packages.
#
#   bash scripts/version.sh [VERSION]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' src/aotlab/__init__.py)
if [ -z "${1:-}" ]; then
    echo "$version"
    exit
fi
[[ $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || { echo "error: $1: expected a version such as 1.2.3" >&2; exit 2; }
for file in src/aotlab/__init__.py packages/{video,studio,compositing,trackers,runtime,integrations/napari}/pyproject.toml \
    packages/runtime/src/aotlab_runtime/__init__.py packages/demo/tracker/package.json CITATION.cff; do
    # the version itself, and that of aotlab on which a package depends
    sed "/^ *\"*_*version_*\"* *[=:]/s/$version/$1/; s/\(\"aotlab.*==\)$version/\1$1/" "$file" >"$file.new"
    mv "$file.new" "$file"
done
