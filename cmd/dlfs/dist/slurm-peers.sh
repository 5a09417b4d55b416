#!/bin/bash
# Fetches {{.What}}
# to a disk of each of {{.Peers}} nodes. The nodes share what they fetch.
#
# Submit it:                  sbatch FILE
# How far a node is:          srun --jobid=JOB --overlap -w NODE {{.Dlfs}} status {{.Dir}}
# Ask for more memory or time below where a site or a long list needs it.
#
#SBATCH --job-name={{.Name}}
#SBATCH --nodes={{.Peers}}
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# A minute before the time is over, each dlfs is told to stop, so that it can go on later.
#SBATCH --signal=TERM@60

dlfs={{.Dlfs}}
list={{.List}}
dir={{.Dir}}
key={{.Key}}
tries=5 # how often the job is run again

# srun ends with the highest exit code of the nodes.
srun --kill-on-bad-exit=0 "$dlfs" fetch --progress line --stats 1m --peers slurm --peer-key "$key"{{.Flags}} "$list" "$dir"
code=$?

again() {
  if [ "${SLURM_RESTART_COUNT:-0}" -lt "$tries" ]; then
    echo "the job is run again: exit code $code"
    scontrol requeue "$SLURM_JOB_ID" && exit "$code" # which ends this job
  fi
  echo "not every node is complete after $tries more runs: exit code $code" >&2
}

case $code in
0) ;;
# Some files failed, or dlfs was stopped or killed. What is there is kept.
1 | 7 | 1[2-9][0-9]) again ;;
# Another run would end in the same way.
2) echo "the command line, the key or the list is wrong; mend it and submit the job again" >&2 ;;
9) echo "the disk of a node is full; make room and submit the job again" >&2 ;;
24) echo "what is left needs URLs that are good; put a fresh list at $list and submit the job again" >&2 ;;
32) echo "a file has another digest than it must have; ask the publisher which is right" >&2 ;;
esac
exit "$code"
