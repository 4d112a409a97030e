"""The scripts in `jobs/`: what they are, and `python -m tests.job_scripts`, which writes them.

They are made by what makes the scripts of `hpcopt submit`, so that there is one script to get right.
"""

from __future__ import annotations

from pathlib import Path

from hpcopt.batch.job import Job
from hpcopt.batch.profile import ClusterProfile
from hpcopt.batch.script import script

JOBS = Path(__file__).parents[1] / "jobs"

ADAPT = """
The words after the script are the arguments of hpcopt; options of sbatch before it override the lines below. Adapt the
lines with ## to what your cluster requires, and 'Software' to where hpcopt is installed. Submit the script from the
folder to which relative paths refer."""

SRUN = """\
hpcopt under SLURM, with ranks started by srun.

    sbatch jobs/srun.sbatch run my.toml --resume
    sbatch --nodes=4 --ntasks-per-node=16 jobs/srun.sbatch compare jobs/studies/quickstart.toml --resume
"""

MPIEXEC = """\
hpcopt under SLURM, with ranks started by the mpiexec (mpirun) of the MPI library.

    sbatch jobs/mpiexec.sbatch run my.toml --resume
"""

REQUEUE = """\
hpcopt under SLURM, for runs that take longer than a job may: before the time is up, or when SLURM takes the nodes away,
hpcopt writes a checkpoint, and the job returns to the queue and goes on from there.

    sbatch jobs/requeue.sbatch run my.toml --resume
"""

ARRAY = """\
Several runs of hpcopt as an array of jobs, one for each line of a file: the arguments of hpcopt, quoted as in a shell.
Each job needs a folder of its own. This is the file commands.txt:

    run my.toml --set seed=1 --out runs/seed1 --resume
    run my.toml --set seed=2 --out runs/seed2 --resume

The first runs both lines, the second the lines 1 to 60, eight at the same time, the third two of them again:

    sbatch --array=1-2 jobs/array.sbatch commands.txt
    sbatch --array=1-60%8 jobs/array.sbatch commands.txt
    sbatch --array=17,42 jobs/array.sbatch commands.txt
"""

APPTAINER = """\
hpcopt under SLURM, in a container: srun starts the ranks, and each runs in the image.

    sbatch jobs/apptainer.sbatch run my.toml --resume

The image needs hpcopt and an MPI of its own, `pip install hpcopt[mpich]`, and nothing from the host but SLURM's PMI-2.
Apptainer shows it the current folder, your home folder and /tmp; further ones with --bind, beside exec.
"""

WANTED = {
    "srun": (SRUN, {"requeue": False}, {"launcher": "srun"}),
    "mpiexec": (MPIEXEC, {"requeue": False}, {"launcher": "mpiexec"}),
    "requeue": (REQUEUE, {}, {}),
    "array": (ARRAY, {"array": True}, {}),
    "apptainer": (APPTAINER, {}, {"launcher": "srun", "container": "hpcopt.sif"}),
}


def job_scripts() -> dict[Path, str]:
    """Return the text of every script by its path."""
    found = {}
    for name, (title, job, profile) in WANTED.items():
        asked = Job(**{"name": "hpcopt", "nodes": 2, "tasks_per_node": 4, "time": "0:30:00", **job})
        cluster = ClusterProfile(**{"environment": ".venv", **profile})
        found[JOBS / f"{name}.sbatch"] = script(asked, cluster, title=title + ADAPT)
    return found


if __name__ == "__main__":
    for path, text in job_scripts().items():
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
