#!/bin/bash
# A run of `refhf train` that outlives its time limit and the loss of a node: sbatch examples/slurm/job.sh
#
#SBATCH --job-name=refhf
#SBATCH --nodes=2 --ntasks-per-node=1
#SBATCH --time=60
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=refhf-%j.log

# --signal: 120 seconds before the limit (Slurm may be 60 early) this script gets SIGTERM, and passes it on to the ranks.
# They finish their step, write the checkpoint and end with status 143. 120 seconds must be more than a step takes. A
# status alone is not enough: when one rank fails, Slurm ends the others by SIGTERM, which is 143 as well.
# --requeue: where a node is lost, Slurm starts the job again, and it resumes from the last checkpoint.
# mpiexec is that of the wheel: it starts a process on each node by srun, and needs no PMI of Slurm's.
# RUN, on a disk that all nodes share, is the folder of the run; TRAIN are the words of `refhf train`.

run=${RUN:-run}
if [ -e "$run/run.json" ]; then
  words="--resume $run"
else
  words="--out $run ${TRAIN:---method gn-cg --steps 1000}"
fi
echo "start $((${SLURM_RESTART_COUNT:-0} + 1)) on $SLURM_JOB_NODELIST: refhf train $words"
asked=no
trap 'asked=yes; kill -TERM $!' TERM # mpiexec sends it to the ranks
mpiexec -launcher slurm refhf train $words &
wait $!
status=$?
if [ $asked = yes ]; then
  wait $! # the first wait ended with the signal
  status=$?
fi
echo "ended with status $status"
if [ $asked = yes ] && [ $status -eq 143 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit $status
