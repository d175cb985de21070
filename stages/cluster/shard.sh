#!/bin/bash
# The synthetic images of one shard by its number, as the indices of jobs count: bash stages/cluster/shard.sh 7
set -euo pipefail
shard=$(printf '%05d' "${1:?name the number of a shard, e.g. 7}")
exec bash "$(dirname "${BASH_SOURCE[0]}")/item.sh" "generate@$shard"
