#!/bin/bash
# Track a list of videos with Slurm; a preempted task is requeued and resumes. Either of:
#   sbatch --array=0-15 slurm.sh jobs.csv results/batch                    independent tasks
#   sbatch --nodes=2 --ntasks-per-node=4 slurm.sh jobs.csv results/batch   one job on 2 machines of 4 GPUs
#SBATCH --job-name=aotlab
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK # srun ignores --cpus-per-task of sbatch
srun aotlab track --jobs "$1" --output "$2" --shard auto --device "${DEVICE:-cuda}"
