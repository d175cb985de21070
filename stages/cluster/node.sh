#!/bin/bash
# The processes of one node of a training on several. DVC runs on one machine and starts this on each node, once it has
# decided that there is something to train:
#
#   LAUNCH="<what runs a command on every node> bash stages/cluster/node.sh" dvc repro --single-item train@0
#
# NODES, NODE_RANK  how many nodes, and which of them this is, 0 for the first (default: what SLURM says)
# MASTER_ADDR       the first node (default: the machine that ran srun, which is the first)
# MASTER_PORT       a port that is free there
# PROCESSES         processes per node: its GPUs (default: 1)
set -euo pipefail
exec torchrun --nnodes "${NODES:-${SLURM_NNODES:?}}" --node-rank "${NODE_RANK:-${SLURM_NODEID:?}}" \
    --nproc-per-node "${PROCESSES:-1}" --master-addr "${MASTER_ADDR:-${SLURM_LAUNCH_NODE_IPADDR:?}}" \
    --master-port "${MASTER_PORT:?}" -m "$@"
