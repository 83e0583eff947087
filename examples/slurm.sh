#!/bin/bash
# Trains on two nodes, a process each, with all GPUs of a node:  sbatch examples/slurm.sh
# The same command again goes on from the last epoch, also after the time limit or the loss of a node.
#SBATCH --job-name=keras-cdd
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=4
#SBATCH --distribution=block
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output=keras-cdd-%j.log
set -euo pipefail

# On a disk that all nodes share.
WORKDIR=${WORKDIR:-runs/veri776}
DATA=${DATA:-VeRi}

# A process that ends with an error takes the others of the step with it.
srun --kill-on-bad-exit=1 python -m keras_cdd.train --flagfile=keras_cdd/configs/veri776_resnet50.flags \
    --data_dir="$DATA" --workdir="$WORKDIR" --strategy=multi_worker
