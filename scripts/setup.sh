# Installs the framework, the studio, the runtime and their libraries into .venv; sourced by the other scripts.
# PYTHON chooses the interpreter (3.10 or newer).

set_up() { # set_up EXTRA: "[all]", "[docs]" or "[test]"
    local python=${PYTHON:-python3} stamp=.venv/installed$1 wanted studio=studio
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
        echo "error: $python is not Python 3.10 or newer; set PYTHON to one that is" >&2
        exit 2
    fi
    if [ "$1" = "[test]" ]; then studio="studio[test]"; fi
    wanted=$(cat pyproject.toml setup.py studio/pyproject.toml runtime/pyproject.toml | cksum)
    if [ ! -x .venv/bin/python ]; then
        echo "creating .venv" >&2
        "$python" -m venv .venv
    fi
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "installing into .venv (the first time downloads PyTorch: a few minutes)" >&2
        .venv/bin/python -m pip install --disable-pip-version-check --editable ".$1" --editable "$studio" --editable runtime
        echo "$wanted" >"$stamp"
    fi
}
