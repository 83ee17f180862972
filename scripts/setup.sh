# Installs the framework, its packages and their libraries into .venv; sourced by the other scripts.
# PYTHON chooses the interpreter (3.10 or newer).

TORCH_CPU_INDEX=${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}

install_torch() { # PyTorch's CPU build, on Linux without NVIDIA's driver
    [ "$(uname)" = Linux ] && [ ! -e /proc/driver/nvidia ] || return 0
    .venv/bin/python -c 'import torch' 2>/dev/null && return
    .venv/bin/python -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + "/torch/", timeout=5)' \
        "$TORCH_CPU_INDEX" 2>/dev/null &&
        .venv/bin/python -m pip install --disable-pip-version-check torch torchvision --index-url "$TORCH_CPU_INDEX" ||
        echo "PyTorch's CPU build cannot be installed from $TORCH_CPU_INDEX; installing the 6 GB build for CUDA" >&2
}

set_up() { # set_up EXTRA: "[all]", "[docs]" or "[test]"
    local python=${PYTHON:-python3} stamp=.venv/installed$1 extra=$1 wanted
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
        echo "error: $python is not Python 3.10 or newer; set PYTHON to one that is" >&2
        exit 2
    fi
    wanted=$(cat pyproject.toml setup.py packages/*/pyproject.toml | cksum)
    if [ "$extra" = "[test]" ]; then
        set -- "video[images,ocio]" "studio[test]" "compositing[edges]" "trackers[test]" runtime testing
    else
        set -- "video[images,ocio]" studio compositing "trackers[vot]" runtime
    fi
    if [ ! -x .venv/bin/python ]; then
        echo "creating .venv" >&2
        "$python" -m venv .venv
    fi
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "installing into .venv (the first time downloads PyTorch: a few minutes)" >&2
        install_torch
        .venv/bin/python -m pip install --disable-pip-version-check \
            --editable=".$extra" "${@/#/--editable=packages/}"
        if [ "$extra" = "[test]" ]; then # it requires the source of an extension for CUDA
            .venv/bin/python -m pip install --disable-pip-version-check --no-deps "deaotpy>=1.11" ||
                echo "deaotpy cannot be installed; the tests of the authors' own code are skipped" >&2
        fi
        echo "$wanted" >"$stamp"
    fi
}
