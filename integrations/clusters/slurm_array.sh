#!/bin/bash
# Track a list as independent tasks:  sbatch --array=0-15 slurm_array.sh jobs.csv results/batch
# A preempted task is requeued and resumes; the others do not notice. At the end:
#   aotlab track --jobs jobs.csv --output results/batch --write masks --summarize
#SBATCH --job-name=aotlab
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
aotlab track --jobs "$1" --output "$2" --write masks --shard auto --device "${DEVICE:-cuda}"
