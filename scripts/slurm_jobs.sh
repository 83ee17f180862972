#!/bin/bash
# Track a list of videos on 2 machines of 4 GPUs each:  sbatch scripts/slurm_jobs.sh jobs.csv results/batch
# Submitted again after a time limit or a crash, it resumes.
#SBATCH --job-name=aotlab
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --time=12:00:00
#SBATCH --requeue
set -euo pipefail
srun --cpus-per-task "$SLURM_CPUS_PER_TASK" aotlab track --jobs "$1" --output "$2" --device cuda --shard auto
