#!/bin/bash
# Track a list of videos with Slurm, one task per shard, in the environment that is active at submission:
#   sbatch --array=0-15 scripts/track_slurm.sh --jobs jobs.csv --output results/batch
# The folder of the job is shared by all nodes. Without GPUs: sbatch --gpus=0 ... --device cpu
#SBATCH --job-name=aotlab-track
#SBATCH --gpus=1
#SBATCH --cpus-per-task=4
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
exec aotlab track --device cuda --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" "$@"
