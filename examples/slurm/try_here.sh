#!/bin/bash
# A Slurm cluster of four nodes on this machine, in a temporary folder, and job.sh on it:
#
#   apt-get install slurm-wlm        # Debian's or Ubuntu's: slurmctld, slurmd, srun, munge
#   examples/slurm/try_here.sh       # as root, with `refhf` and the wheel's `mpiexec` on the path
#
# 1. The time limit: the job is signalled, requeued, and resumes.
# 2. A node is lost (its daemon and all its processes are killed): Slurm requeues the job on others, and it resumes.
# 3. It ends, with the bits of a run of one process that nothing disturbed; or this script ends with status 1.
#
# LIMIT: minutes of a start, STEPS: of the run, which must last through both. Nothing is left behind, also on SIGTERM.
set -eu
if [ -z "${INSIDE:-}" ]; then
  here=$(mktemp -d)
  trap 'kill -9 $child 2> /dev/null || true; until rm -rf "$here" 2> /dev/null; do sleep 0.1; done' EXIT
  trap 'exit 143' INT TERM
  INSIDE=$here setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc "$0" &
  child=$!
  wait $child
  exit
fi

job_file=$(cd "$(dirname "$0")" && pwd)/job.sh
here=$INSIDE
cd "$here"
head -c 1024 /dev/urandom > key
chmod 400 key
munged --force --key-file="$here/key" --socket="$here/munge" --pid-file="$here/munge.pid" \
  --log-file="$here/munged.log" --seed-file="$here/seed"
# cred_expire: Slurm starts a requeued job as many seconds later, 120 by default.
cat > slurm.conf <<CONF
ClusterName=here
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmctldPort=16817
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$here/munge,cred_expire=15
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
CONF
mkdir state node1 node2 node3 node4
export SLURM_CONF=$here/slurm.conf OPENBLAS_NUM_THREADS=1 UCX_TLS=tcp,self
slurmctld
for n in 1 2 3 4; do
  slurmd -N node$n
done

train="--method hessian-bicgstab --data mnist-mini --hidden 20 --curvature-batch 500 --reduction reproducible"
train="$train --checkpoint-every 1 --quiet --steps ${STEPS:-25}"
export RUN=$here/run TRAIN=$train

steps() { # in the history on disk
  if [ -e run/history.jsonl ]; then wc -l < run/history.jsonl; else echo 0; fi
}

wait_for() { # wait_for CONDITION ..., while the job is there
  while there=$(squeue -h -j "$job") && ! "$@"; do
    if [ -z "$there" ]; then
      echo "the job ended before: $*"
      cat log slurmctld.log
      exit 1
    fi
    sleep 0.1
  done
}

more_than() { [ "$(steps)" -gt "$1" ]; }
started() { grep -qs "^start $1 " log; }

job=$(sbatch --parsable --time="${LIMIT:-2}" --signal=B:TERM@45 --output=log "$job_file")
wait_for started 2
wait_for more_than "$(steps)"
echo "--- after the time limit:"
grep . log

lost=$(scontrol show hostnames "$(squeue -h -j "$job" -o %N)" | head -1)
began=$(date +%s%N)
tasks=$(grep -lz "SLURMD_NODENAME=$lost" /proc/[0-9]*/environ 2> /dev/null | cut -d / -f 3)
kill -9 $(cat "$lost.pid") $(ps -o ppid= -p $tasks | sort -u | grep -vw 1) $tasks # the steps' daemons before the tasks
wait_for started 3
again=$(date +%s%N)
reached=$(steps)
wait_for more_than "$reached"
echo "--- $lost was lost; started again after $(((again - began) / 1000000)) ms, a step after $((($(date +%s%N) - began) / 1000000)) ms"

wait_for grep -q "^ended with status 0" log
grep . log
grep -iE "requeu|not resp|down" slurmctld.log
echo "--- alone:"
refhf train --out alone $TRAIN
cmp run/theta.npz alone/theta.npz
echo "theta has the bits of one process, after $(steps) lines of history"
