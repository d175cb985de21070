#!/bin/bash
# One item of the pipeline on a machine of its own, whatever engine starts it:
#
#   bash stages/cluster/item.sh train@0
#
# It clones the last commit of the project that this script lies in, restores the item where a machine has pushed it to
# the DVC remote, else runs it on the inputs that it needs, and pushes it. Started again after a kill, it goes on where
# it stopped. A second task for the same item waits for the first, and then finds it done.
#
# COUNTERWEIGHT_WORK  unfinished work, the same folder after a restart (default: .work in the project's folder)
# CLONES              folder for the clone while it is in use (default: $COUNTERWEIGHT_WORK/clones)
# LAUNCH              how to start the stage, e.g. "accelerate launch --num_processes 4 -m"
set -euo pipefail

item="${1:?name an item of the pipeline, e.g. generate@00007}"
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
COUNTERWEIGHT_WORK=$(realpath --canonicalize-missing "${COUNTERWEIGHT_WORK:-$project/.work}")
export COUNTERWEIGHT_WORK
clones="${CLONES:-$COUNTERWEIGHT_WORK/clones}"
mkdir -p "$clones"
clone=$(realpath "$clones")/$item

cd "$project"
git diff --quiet HEAD -- dvc.lock dvc.yaml params.yaml stages ||
    echo "warning: $project: there are changes that are not committed; $item runs on the last commit" >&2
exec 9> "$clone.lock"
flock 9
trap 'cd / && rm -rf "$clone"' EXIT
rm -rf "$clone"
git clone --quiet . "$clone"
if [ -f .dvc/config.local ]; then cp -p .dvc/config.local "$clone/.dvc/"; fi # keys and settings of this site
cache=$(dvc cache dir)
cd "$clone"
dvc config --local cache.dir "$cache"
dvc config --local cache.type reflink,symlink,hardlink,copy
case "$item" in # DVC pulls an input by the name of an output, and this input is a folder of many
annotate | plot | train@* | caption@*) dvc pull --quiet generate ;;
esac
dvc repro --pull --single-item "$item"
dvc push --run-cache "$item"
