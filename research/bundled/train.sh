#!/usr/bin/env bash
# Trains the bundled model: tracking by recipes/bundled.yaml, on GPUs with the published batch sizes, else on the CPU
# with two processes; tracking of look-alikes by recipes/crossings.yaml, if DATA/crossings has rendered clips; then
# prompts by recipes/prompts.yaml, on the CPU. Started again, it resumes.
#
#   bash research/bundled/train.sh DATA [OUTPUT] [--dry-run] [key=value ...]      (default OUTPUT: outputs/bundled)
#
# Settings are those of bundled.yaml. --dry-run runs two steps of each of its phases and estimates their time and memory.
# DEVICE=cpu|cuda, RANKS=N and PRECISION=float32|bfloat16 override the automatic choices.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ $# -lt 1 ] || [ ! -d "$1" ]; then
    echo "error: ${1:-DATA}: not a folder; give the training data: train.sh DATA [OUTPUT] [--dry-run] [key=value ...]" >&2
    exit 2
fi
data=$1 output=outputs/bundled
shift
case ${1:-} in "" | -* | *=*) ;; *) output=$1 && shift ;; esac
source scripts/setup.sh
set_up "[all]"

gpus=$(.venv/bin/python -c "import torch; print(torch.cuda.device_count())")
device=${DEVICE:-$([ "$gpus" -gt 0 ] && echo cuda || echo cpu)}
settings=(train.output="$output")
if [ "$device" = cuda ]; then
    ranks=${RANKS:-$gpus} workers=8
    for phase in 0 1 2; do
        settings+=(train.phases.$phase.batch=16 train.phases.$phase.crop=465 train.phases.$phase.short_edge=480)
    done
else
    # Two processes synchronise once per step, threads all the time, which costs more beside other work.
    ranks=${RANKS:-$(($(nproc) < 2 ? 1 : 2))} workers=1
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((($(nproc) + ranks - 1) / ranks))}
    export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
fi
train() { # train RECIPE [OPTION ...]
    .venv/bin/python -m torch.distributed.run --standalone --nproc-per-node "$ranks" -m aotlab train --device "$device" \
        --config "research/bundled/recipes/$1.yaml" data.root="$data" data.workers="$workers" \
        train.precision="${PRECISION:-auto}" "${@:2}"
}
train bundled "${settings[@]}" "$@"
case " $* " in *" --dry-run "*) exit ;; esac
weights=$output/long.safetensors
if [ -d "$data/crossings" ]; then
    train crossings train.output="$output/crossings" train.start_from="$weights" train.phases.0.steps=4000
    weights=$output/crossings/crossings.safetensors
else
    echo "$data/crossings: not a folder; training continues without rendered clips"
fi
exec .venv/bin/python -m research.bundled.train_prompts \
    data.root="$data" train.output="$output/prompts" train.start_from="$weights"
