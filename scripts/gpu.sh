#!/usr/bin/env bash
# Checks and measures tracking with and without CUDA graphs: bash scripts/gpu.sh OUT. About 8 minutes on one GPU.
#
#   PYTHON      an interpreter with PyTorch, pytest and the libraries of pyproject.toml (default: .venv's, else python3);
#               without a network, install wheels carried along: pip install --no-index --find-links wheels av click ...
#   DEVICE=cpu  a dry run on a CPU: small frames, few rounds, no graphs but in the tests, which use a stand-in
#
# A step that fails is named at the end; the others run nevertheless. OUT gets a file for each.
set -uo pipefail
out=$(mkdir -p "${1:?usage: bash scripts/gpu.sh OUT}" && cd "$1" && pwd) || exit 2
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-.venv/bin/python}
command -v "$python" >/dev/null || python=python3
export PYTHONPATH="$PWD/src:$PWD/runtime/src${PYTHONPATH:+:$PYTHONPATH}"
device=${DEVICE:-cuda} failed=()

run() { # run NAME SECONDS COMMAND...: write a step's output to OUT/NAME.md
    local name=$1 limit=$2
    shift 2
    echo "== $name" >&2
    timeout "$limit" "$@" >"$out/$name.md" 2>"$out/$name.log" || failed+=("$name")
    cat "$out/$name.md"
}
compare() { # compare NAME SECONDS ROUNDS SETTING...
    run "$1" "$2" "$python" -m research.speed.compare --device "$device" --rounds "$3" "${@:4}"
}

models=(aott r50_aotl r50_deaotl swinb_aotl) counts=(1 3 10) rounds=300 half=bfloat16
sizes=(854x480 1920x1080) replayed=compute.graphs=on
if [ "$device" = cpu ]; then
    models=(aott) counts=(1 3) sizes=(96x64) rounds=2 half=float32 replayed=compute.graphs=off
fi
base=memory.policy=bounded_fifo,compute.precision=$half,at_frame=50
[ "$device" = cpu ] && base=${base/at_frame=50/at_frame=5}

"$python" -c "import sys, torch, platform
print(sys.version.split()[0], torch.__version__, platform.processor())
print(torch.cuda.get_device_name() if torch.cuda.is_available() else 'no CUDA device')" | tee "$out/machine.md"
tests=tests/engine/test_gpu.py
[ "$device" = cpu ] && tests=tests/engine/test_graphs.py
run correctness 150 "$python" -m pytest -q -k "graphs or bundled" "$tests"
for model in "${models[@]}"; do
    settings=()
    for count in "${counts[@]}"; do
        settings+=("$model,$base,objects=$count" "$model,$base,objects=$count,$replayed")
    done
    compare "frames_$model" 90 "$rounds" "${settings[@]/%/,size=${sizes[0]}}"
done
for size in "${sizes[@]:1}"; do
    settings=()
    for model in "${models[@]}"; do
        settings+=("$model,$base,objects=3,size=$size" "$model,$base,objects=3,size=$size,$replayed")
    done
    compare "frames_$size" 120 60 "${settings[@]}"
done
for model in aott r50_deaotl; do
    [ "$device" = cpu ] && base=$base,size=96x64
    run "kernels_$model" 60 "$python" -m research.speed.kernels --device "$device" "$model,$base,objects=3"
done
train=train=4x5x465,train.precision=bfloat16
[ "$device" = cpu ] && train=train=1x2x33
compare training 60 10 "aott,$train" "r50_aotl,$train"
if "$python" -c "import transformers" 2>/dev/null; then
    compare peers 90 20 "aott,$base,objects=3,$replayed" edgetam,compute.precision=$half,objects=3 sam2_tiny,compute.precision=$half,objects=3
else
    echo "no transformers: peers are not measured" >&2
fi
[ "$device" = cpu ] || compare compile 150 60 "aott,$base,objects=3" "aott,$base,objects=3,compute.compile=true"

[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}; see $out/*.log" >&2; exit 1; }
