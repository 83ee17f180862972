#!/usr/bin/env bash
# Installs the project with its test tools, then checks lint, format, types and documentation, and runs the quick tests.
#
#   bash scripts/test.sh [--lint | --page | --all | --lowest] [pytest arguments]
#     --lint    lint, format and types only
#     --page    the studio's page and the demo instead: lint and types of JavaScript, tests in Chromium (needs npx)
#     --all     also the slow tests, those in Chromium if it is installed, those of integrations whose libraries are, and
#               those with Slurm if you are root and it is installed (apt-get install slurm-wlm munge)
#     --lowest  quick tests only, with Python 3.10 and the lowest versions that pyproject.toml allows (in .venv-lowest)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset PYTHONDONTWRITEBYTECODE # each worker and each command under test would compile every file again
if [ "${1:-}" = "--lowest" ]; then
    shift
    command -v uv >/dev/null || { echo "test.sh --lowest: needs uv (pip install uv)" >&2; exit 2; }
    uv venv --allow-existing --python 3.10 .venv-lowest
    uv pip install --python .venv-lowest --resolution lowest-direct --only-binary :all: --no-binary aotlab,aotlab-video,aotlab-studio,aotlab-compositing,aotlab-trackers,aotlab-runtime,aotlab-testing \
        --editable ".[test]" --editable "packages/video[images,ocio]" --editable "packages/studio[test]" \
        --editable "packages/compositing[edges]" --editable packages/trackers --editable packages/runtime --editable packages/testing
    OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest --numprocesses auto --dist loadfile "$@"
    exit
fi
source scripts/setup.sh
set_up "[test]"

# One process per core, one thread each.
options=(--numprocesses auto --dist loadfile --durations 10)
if [ "${1:-}" = "--page" ]; then
    shift
    command -v npx >/dev/null || { echo "test.sh --page: needs npx (apt-get install npm)" >&2; exit 2; }
    command -v chromium-headless-shell chromium chromium-browser google-chrome >/dev/null ||
        { echo "test.sh --page: needs Chromium (apt-get install chromium-headless-shell)" >&2; exit 2; }
    .venv/bin/python packages/studio/scripts/page_types.py packages/studio/src/aotlab_studio/page/protocol.d.ts
    npx --yes --package typescript@5 tsc --project packages/studio/tests/annotation
    npx --yes --package eslint@9 eslint --config packages/studio/tests/annotation/eslint.config.mjs \
        packages/studio/src/aotlab_studio/page packages/demo/src packages/demo/tracker
    OMP_NUM_THREADS=1 exec .venv/bin/python -m pytest "${options[@]}" -m "page and not slow" packages/studio/tests packages/demo/tests "$@"
fi
options+=(-m "not slow and not page")
if [ "${1:-}" = "--all" ]; then
    options+=(-m "not all_presets" -o "testpaths=tests packages research/tests")
    shift
fi
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
if [ "${1:-}" = "--lint" ]; then
    exit
fi
bash scripts/docs.sh
OMP_NUM_THREADS=1 .venv/bin/python -m pytest "${options[@]}" "$@"
