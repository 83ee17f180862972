#!/bin/bash
# Track a list of videos on 2 machines of 4 GPUs each:  sbatch scripts/slurm_jobs.sh jobs.csv results/batch
# Submitted again after a time limit or a crash, it resumes.
#SBATCH --job-name=aotlab
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
#SBATCH --requeue
set -euo pipefail
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node 4 --rdzv-backend c10d --rdzv-id "$SLURM_JOB_ID" \
    --rdzv-endpoint "$head:29500" -m aotlab track --jobs "$1" --output "$2" --device cuda
