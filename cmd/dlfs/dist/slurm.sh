#!/bin/bash
# Fetches {{.What}}
# with an array of tasks, one for each shard of the list, on as many nodes as there are.
#
# Submit it:                  sbatch FILE
# How far all tasks are:      dlfs status {{.Dir}}
# Ask for more memory or time below where a site or a long list needs it.
#
#SBATCH --job-name={{.Name}}
#SBATCH --array=0-{{.Last}}%{{.AtOnce}}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# A minute before the time is over, dlfs is told to stop, so that it can go on later.
#SBATCH --signal=B:TERM@60

dlfs={{.Dlfs}}
list={{.List}}
dir={{.Dir}}
tries=5 # how often a task is run again

# The state is on a disk of the node. It stays until the shard is complete, so that a
# file that is not finished is gone on with if the task comes back to this node.
state=${TMPDIR:-/tmp}/{{.Name}}-$(id -u)-$SLURM_ARRAY_TASK_ID

"$dlfs" fetch --progress line --stats 1m --shard "$SLURM_ARRAY_TASK_ID/{{.Shards}}" --state "$state"{{.Flags}} "$list" "$dir" &
fetch=$!
trap 'kill -TERM "$fetch"' TERM
until wait "$fetch"; code=$?; [ "$code" -ne 143 ]; do :; done # 143: the trap has ended the wait

again() {
  if [ "${SLURM_RESTART_COUNT:-0}" -lt "$tries" ]; then
    echo "shard $SLURM_ARRAY_TASK_ID is run again: exit code $code"
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" && exit "$code" # which ends this task
  fi
  echo "shard $SLURM_ARRAY_TASK_ID is not complete after $tries more runs: exit code $code" >&2
}

case $code in
0) rm -rf "$state" ;;
# Some files failed, or dlfs was stopped or killed. What is there is kept.
1 | 7 | 1[2-9][0-9]) again ;;
# Another run would end in the same way.
2) echo "the command line or the list is wrong; mend it and submit the job again" >&2 ;;
9) echo "the disk is full; make room and submit the job again" >&2 ;;
24) echo "what is left needs URLs that are good; put a fresh list at $list and submit the job again" >&2 ;;
32) echo "a file has another digest than it must have; ask the publisher which is right" >&2 ;;
esac
exit "$code"
