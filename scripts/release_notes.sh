#!/usr/bin/env bash
# Prints the changes of a version, the section "## VERSION (DATE)" of CHANGELOG.md; fails if there is none.
#
#   bash scripts/release_notes.sh VERSION [CHANGELOG]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
awk -v start="## $1 (2" '/^## / { inside = index($0, start) == 1; found = found || inside; next } inside
    END { if (!found) exit 1 }' "${2:-CHANGELOG.md}" ||
    { echo "error: CHANGELOG.md: no section '## $1 (DATE)'" >&2; exit 2; }
