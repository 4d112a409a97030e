"""The parts of a job's script, in bash, in the order in which they appear in it."""

from __future__ import annotations

CHECK = """\
set -euo pipefail  # only now: modules and activation scripts do not all work with it
command -v {program} > /dev/null || { echo "no {program} on PATH of $(hostname)" >&2; exit 1; }
"""

CACHE = """\
# Compiled kernels are kept on each node's own disk: a thousand ranks would wait for a network file system. The folder
# must be this user's own, because its contents are executed; `install` fails if it is not.
export NUMBA_CACHE_DIR=${TMPDIR:-/tmp}/hpcopt-$UID
srun --mpi=none --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \\
    install -d -m 700 "$NUMBA_CACHE_DIR"
"""

LIBRARY = """\
library=$({inside}python -c 'import mpi4py
mpi4py.rc.initialize = False
from mpi4py import MPI
print(MPI.Get_library_version().splitlines()[0].strip("\\0"))')
"""

_THREADS = "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK NUMBA_NUM_THREADS=$SLURM_CPUS_PER_TASK"

_WITH_SRUN = 'srun --mpi={pmi} {sizes} --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=0 --unbuffered "$@"'

_OPEN_MPI = """\
# SLURM and Open MPI count a node's cores differently if cores are shared or hardware threads are on.
        *"Open MPI"*) exec mpiexec -n "$SLURM_NTASKS" --oversubscribe --bind-to none "$@" ;;"""

_OTHER_MPI = 'mpiexec -n "$SLURM_NTASKS" -ppn "$SLURM_NTASKS_PER_NODE" "$@"'

_PATIENT = "# srun leaves the other ranks alone when one has ended; hpcopt itself ends a job that has lost a rank."

SRUN = f"""\
{_PATIENT}
launch() {{  # launch PROGRAM...: on all ranks, with a thread for each of a rank's cores
    {_THREADS}
    exec {_WITH_SRUN}
}}
"""

MPIEXEC = f"""\
launch() {{  # launch PROGRAM...: on all ranks, with a thread for each of a rank's cores
    {_THREADS}
    case $library in
        {_OPEN_MPI}
        *) exec {_OTHER_MPI} ;;
    esac
}}
"""

AUTO = f"""\
# srun starts MPICH and Intel MPI where SLURM has their process management; Open MPI's is mostly newer than SLURM's.
# Else the library's own mpiexec does. A launcher that does not fit starts single processes, which hpcopt refuses.
{_PATIENT}
offered=$(srun --mpi=list 2>&1)
launch() {{  # launch PROGRAM...: on all ranks, with a thread for each of a rank's cores
    {_THREADS}
    case $library in
        {_OPEN_MPI}
    esac
    if grep -qw {{pmi}} <<< "$offered"; then
        exec {_WITH_SRUN}
    fi
    exec {_OTHER_MPI}
}}
"""

RUN = """\
# Before the time is up, SLURM sends USR1 to this shell, and only to it. The launcher passes it to the ranks; hpcopt
# writes a checkpoint and ends with code 75. To end a job early, SLURM sends TERM to all its processes.
warned='' launcher='' failed=0
trap 'warned=yes; [ -z "$launcher" ] || kill -USR1 "$launcher" 2> /dev/null || true' USR1
trap 'warned=yes' TERM
run() {  # run PROGRAM...: on all ranks; remembers a failure; a checkpoint ends the job
    local code=75
    if [ -z "$warned" ]; then
        launch "$@" &
        launcher=$! code=0
        while kill -0 "$launcher" 2> /dev/null; do wait "$launcher" || true; done  # a signal ends `wait`, too
        wait "$launcher" || code=$?
        launcher=''
    fi
    case $code in
        0) ;;
        75 | 138) again ;;  # 138: USR1 came before there was anything to save
        *) failed=$code ;;
    esac
}
"""

SUBMIT_AGAIN = """\
again() {
    echo "hpcopt has stopped early: it goes on when the job is submitted again" >&2
    exit 75
}
"""

REQUEUE = """\
again() {  # put the job back into the queue, unless SLURM is ending it: then it is no longer RUNNING
    local job={self} restart=$((${SLURM_RESTART_COUNT:-0} + 1))
    if [ "$restart" -le {restarts} ] && [ "$(squeue --noheader --jobs="$job" --format=%T)" = RUNNING ]; then
        echo "hpcopt has stopped early and goes on later: restart $restart of at most {restarts}" >&2
        scontrol requeue "$job"
    else
        echo "hpcopt has stopped early: it goes on when the job is started, or submitted, again" >&2
    fi
    exit 75
}
"""

END = """\
# What the job took, where SLURM keeps accounts; the job's exit code is that of the last command that failed.
sacct --jobs="$SLURM_JOB_ID" --format=JobID,JobName,State,Elapsed,TotalCPU,MaxRSS 2> /dev/null || true
(exit "$failed")
"""

LINE_OF_FILE = """\
# Line SLURM_ARRAY_TASK_ID of the file has the arguments of hpcopt.
eval "set -- $(sed -n "${SLURM_ARRAY_TASK_ID}p" "${1:?which file of commands?}")"
"""
