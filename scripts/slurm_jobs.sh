#!/bin/bash
# Track a list of videos as independent tasks of one GPU each:  sbatch --array=0-7 scripts/slurm_jobs.sh jobs.csv results/batch
# A preempted task is requeued and resumes. At the end:  aotlab track --jobs jobs.csv --output results/batch --summarize
#SBATCH --job-name=aotlab
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
aotlab track --jobs "$1" --output "$2" --shard auto --device "${DEVICE:-cuda}"
