#!/bin/bash
# A run of `refhf train` that outlives its time limit and the loss of a node: sbatch examples/slurm/job.sh
#
#SBATCH --job-name=refhf
#SBATCH --nodes=2 --ntasks-per-node=1
#SBATCH --time=60
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=refhf-%j.log

# --signal: 120 seconds before the limit (Slurm may be 60 early) each rank gets SIGTERM. It finishes its step, writes
# the checkpoint and ends with status 143. 120 seconds must be more than a step takes.
# --requeue: where a node is lost, Slurm starts the job again, and it resumes from the last checkpoint.
# RUN, on a disk that all nodes share, is the folder of the run; TRAIN are the words of `refhf train`.

run=${RUN:-run}
if [ -e "$run/run.json" ]; then
  words="--resume $run"
else
  words="--out $run ${TRAIN:---method gn-cg --steps 1000}"
fi
echo "start $((${SLURM_RESTART_COUNT:-0} + 1)) on $SLURM_JOB_NODELIST: refhf train $words"
srun --mpi=pmi2 --kill-on-bad-exit=1 refhf train $words # pmi2: for the wheel of MPICH; Open MPI needs pmix
status=$?
echo "ended with status $status"
if [ $status -eq 143 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit $status
