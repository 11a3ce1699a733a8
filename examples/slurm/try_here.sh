#!/bin/bash
# A Slurm cluster of four nodes on this machine, in a temporary folder, and job.sh on it:
#
#   apt-get install slurm-wlm        # Debian's or Ubuntu's: slurmctld, slurmd, srun, munge
#   examples/slurm/try_here.sh       # as root, with `refhf` on the path; LIMIT: minutes of the first limit, or 2
#
# 1. The time limit: the job is signalled, requeued, and resumes.
# 2. A node is lost (its daemon and all its processes are killed): Slurm requeues the job on others, and it resumes.
# Everything ends with this script: `unshare --kill-child` takes all its processes away.
set -eu
if [ -z "${INSIDE:-}" ]; then
  INSIDE=1 exec unshare --mount --pid --fork --kill-child --mount-proc "$0" "$@"
fi

there=$(cd "$(dirname "$0")" && pwd)
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
head -c 1024 /dev/urandom > key
chmod 400 key
munged --force --key-file="$here/key" --socket="$here/munge" --pid-file="$here/munge.pid" \
  --log-file="$here/munged.log" --seed-file="$here/seed"
cat > slurm.conf <<END
ClusterName=here
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmctldPort=16817
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$here/munge
StateSaveLocation=$here/state
SlurmdSpoolDir=$here/%n
SlurmctldPidFile=$here/slurmctld.pid
SlurmdPidFile=$here/%n.pid
SlurmctldLogFile=$here/slurmctld.log
SlurmdLogFile=$here/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SlurmdTimeout=10
ReturnToService=1
SchedulerParameters=batch_sched_delay=0,sched_interval=1
NodeName=node[1-4] NodeHostname=$(hostname) NodeAddr=127.0.0.1 Port=[16821-16824] CPUs=1
PartitionName=all Nodes=ALL Default=YES State=UP
END
mkdir state node1 node2 node3 node4
export SLURM_CONF=$here/slurm.conf OPENBLAS_NUM_THREADS=1
slurmctld
for n in 1 2 3 4; do
  slurmd -N node$n
done

export RUN=$here/run TRAIN="--method sgd --data mnist-mini --hidden 20 --reduction reproducible --checkpoint-every 50 --quiet --steps ${STEPS:-100000}"

steps() { # in the history on disk
  if [ -e run/history.jsonl ]; then wc -l < run/history.jsonl; else echo 0; fi
}

wait_for() { # wait_for CONDITION ...
  until "$@"; do sleep 0.1; done
}

more_than() { [ "$(steps)" -gt "$1" ]; }
restarted() { grep -q "^start $1 " log; }

job=$(sbatch --parsable --time="${LIMIT:-2}" --signal=B:TERM@60 --output=log "$there/job.sh")
wait_for restarted 2 2> /dev/null
wait_for more_than "$(steps)"
echo "--- after the time limit:"
grep . log

wait_for more_than "$(($(steps) + 2))"
lost=$(scontrol show hostnames "$(squeue -h -j "$job" -o %N)" | head -1)
began=$(date +%s%N)
tasks=$(grep -lz "SLURMD_NODENAME=$lost" /proc/[0-9]*/environ 2> /dev/null | cut -d / -f 3)
kill -9 $(cat "$lost.pid") $(ps -o ppid= -p $tasks | sort -u | grep -vw 1) $tasks # the steps' daemons before the tasks
wait_for restarted 3
reached=$(steps)
wait_for more_than "$reached"
echo "--- $lost was lost; resumed after $((($(date +%s%N) - began) / 1000000)) ms:"
grep . log
tail -n 4 slurmctld.log
scancel "$job"
