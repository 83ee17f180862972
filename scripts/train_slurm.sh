#!/bin/bash
# Train with Slurm, one task per GPU. A preempted job, and one that reaches its time limit, is requeued and resumes:
#   sbatch --nodes=2 --ntasks-per-node=4 --gpus-per-node=4 scripts/train_slurm.sh --config configs/recipes/ytvos_davis.yaml data.root=datasets
# The folder of the job is shared by all nodes. ENVIRONMENT is that of Python (default: .venv), DEVICE the device (default: cuda).
#SBATCH --job-name=aotlab-train
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@180
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
source "${ENVIRONMENT:-.venv}/bin/activate"
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
export DEVICE=${DEVICE:-cuda} MASTER_ADDR=${hosts[0]}
export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000)) # jobs that share a machine differ
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK # srun ignores --cpus-per-task of sbatch

requeue() { # 180 seconds before the time limit: save the state after the current step, then wait for another start
    kill -TERM "$step"
    wait "$step" || true
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
}
trap requeue USR1

# shellcheck disable=SC2016 # each task expands its own variables
srun --kill-on-bad-exit=1 bash -c '
    export WORLD_SIZE=$SLURM_NTASKS RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID
    exec aotlab train --device "$DEVICE" "$@"' task "$@" &
step=$!
wait "$step"
