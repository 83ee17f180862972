#!/bin/bash
# Train with Slurm, one task per GPU, in the environment that is active at submission. A preempted job, and one that
# reaches its time limit, is requeued and resumes:
#   sbatch --nodes=2 --ntasks-per-node=4 --gpus-per-node=4 scripts/train_slurm.sh --config configs/recipes/ytvos_davis.yaml data.root=datasets
# The folder of the job is shared by all nodes. Without GPUs: sbatch --gpus-per-node=0 ... --device cpu
#SBATCH --job-name=aotlab-train
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@180
set -euo pipefail
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
export MASTER_ADDR=${hosts[0]}
export MASTER_PORT=$((10000 + SLURM_JOB_ID % 20000)) # jobs that share a machine differ; the system chooses ports above
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK # srun ignores --cpus-per-task of sbatch

requeue() { # 180 seconds before the time limit: save the state after the current step, then wait for another start
    scancel --signal=TERM "$SLURM_JOB_ID" # signals the tasks; srun would kill them on SIGTERM
    wait "$step" || true
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
}
trap requeue USR1

# After the first task has ended, the others have two minutes to save.
# shellcheck disable=SC2016 # each task expands its own variables
srun --kill-on-bad-exit=0 --wait=120 bash -c '
    export WORLD_SIZE=$SLURM_NTASKS RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID
    exec aotlab train --device cuda "$@"' task "$@" &
step=$!
wait "$step"
