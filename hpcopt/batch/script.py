"""The script of a job: complete, commented, and plain enough to be changed by hand.

What is fixed is in `bash.py`; here it is put together and filled in.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from hpcopt.batch import bash
from hpcopt.batch.job import Command, Job, output_in
from hpcopt.batch.profile import ClusterProfile

_OPTIONAL = {  # SLURM's options that a cluster may require, and what stands for a value in a script to adapt
    "partition": "YOUR_PARTITION",
    "account": "YOUR_ACCOUNT",
    "qos": "YOUR_QOS",
    "constraint": "YOUR_CONSTRAINT",
    "reservation": "YOUR_RESERVATION",
}

_PLACES = {  # what may differ between the commands of a job, and the job's own, which launchers take by themselves
    "ranks": "$SLURM_NTASKS",
    "nodes": "$SLURM_JOB_NUM_NODES",
    "per_node": "$SLURM_NTASKS_PER_NODE",
    "threads": "$SLURM_CPUS_PER_TASK",
}
_WIDTH = 115


def script(job: Job, profile: ClusterProfile, *, title: str | None = None) -> str:
    """Return the script of a job for sbatch.

    Parameters
    ----------
    job
        What it does. Without commands, it is a script to adapt by hand: its arguments are the command, and comments
        hold the place of what a cluster may require.
    profile
        What the cluster requires.
    title
        Its first comment; default: the command.
    """
    by_hand = job.commands is None
    inside = [profile.runtime, "exec", profile.container] if profile.container else []
    parts = [
        _head(job, title) + _directives(job, profile, by_hand=by_hand),
        _section("Software") + _software(profile, by_hand=by_hand),
        bash.CACHE,
        _section("Ranks") + _launch(job, profile, shlex.join(inside)),
        _section("Run") + bash.RUN + _again(job),
        _commands(job, shlex.join([*inside, "hpcopt"])),
        bash.END,
    ]
    return "\n".join(parts)


def _section(name: str) -> str:
    return f"# --- {name} ".ljust(_WIDTH, "-") + "\n"


def _head(job: Job, title: str | None) -> str:
    lines = ("!/usr/bin/env bash", *(f" {line}" for line in (title or _told(job)).splitlines()), "")
    return "".join(f"#{line.rstrip()}\n" for line in lines)


def _told(job: Job) -> str:
    commands = [shlex.join(("hpcopt", *command.arguments)) for command in job.commands or ()]
    return commands[0] if len(commands) == 1 else f"{len(commands)} commands of hpcopt"


def _directives(job: Job, profile: ClusterProfile, *, by_hand: bool) -> str:
    """Return the lines that sbatch reads."""
    output = job.output or output_in(Path(), array=job.array)
    lines = [
        ("job-name", job.name, ""),
        ("nodes", job.nodes, ""),
        ("ntasks-per-node", job.tasks_per_node, "ranks on a node"),
        ("cpus-per-task", job.cpus_per_task, "cores, and threads, of a rank"),
        ("time", job.time, ""),
        ("output", f'"{output}"' if " " in output else output, "%x: name, %j: number of the job"),
        ("open-mode", "append", "a job that starts again adds to its output"),
        ("signal", f"B:USR1@{job.warning}", "seconds before the time limit at which it writes a checkpoint"),
    ]
    if job.array and job.commands is not None:
        at_once = "" if job.at_once is None else f"%{job.at_once}"
        lines.append(("array", f"0-{len(job.commands) - 1}{at_once}", ""))
    if job.requeue:
        lines.append(("requeue", None, "it starts again after a checkpoint, a preemption, or the failure of a node"))
    else:
        lines.append(("no-requeue", None, ""))
    text = "".join(_directive(*line) for line in lines)
    for name, placeholder in _OPTIONAL.items():
        value = getattr(profile, name)
        if value is not None:
            text += _directive(name, value)
        elif by_hand:
            text += f"#{_directive(name, placeholder)}"
    return text + "".join(f"#SBATCH {option}\n" for option in profile.options)


def _directive(name: str, value: object, remark: str = "") -> str:
    line = f"#SBATCH --{name}" if value is None else f"#SBATCH --{name}={value}"
    return f"{line:<40}# {remark}\n" if remark else f"{line}\n"


def _software(profile: ClusterProfile, *, by_hand: bool) -> str:
    """Return the lines that make hpcopt available."""
    lines = list(profile.setup)
    if profile.modules:
        lines.append(f"module load {shlex.join(profile.modules)}")
    elif by_hand:
        lines.append("# module load python openmpi    # if mpi4py was built with the MPI of your cluster")
    if profile.environment and not profile.container:
        lines.append(f"export PATH={_place(profile.environment)}/bin:$PATH")
    program = profile.runtime if profile.container else "hpcopt"
    return "".join(f"{line}\n" for line in lines) + bash.CHECK.replace("{program}", program)


def _place(folder: str) -> str:
    """Return a folder as a word of bash; a relative one is taken from the folder in which the job was submitted."""
    if folder.startswith("~/"):
        return f'"$HOME"/{shlex.quote(folder[2:])}'
    return shlex.quote(folder) if folder.startswith("/") else f'"$PWD"/{shlex.quote(folder)}'


def _launch(job: Job, profile: ClusterProfile, inside: str) -> str:
    """Return the function that starts a program on the ranks."""
    library = bash.LIBRARY.replace("{inside}", f"{inside} " if inside else "")
    text = {"srun": bash.SRUN, "mpiexec": library + bash.MPIEXEC, "auto": library + bash.AUTO}[profile.launcher]
    text = text.replace("{pmi}", profile.srun_mpi)
    if not any(map(_is_sized, job.commands or ())):
        return text.replace("{sizes} ", "")
    for name, own in _PLACES.items():
        text = re.sub(rf"{re.escape(own)}\b", f"${name}", text)
    text = text.replace("{sizes}", '--nodes="$nodes" --ntasks="$ranks" --ntasks-per-node="$per_node"')
    used = " ".join(f"{name}={own}" for name, own in _PLACES.items() if f"${name}" in text)
    return f"{used}  # where a command has no others\n{text}"


def _is_sized(command: Command) -> bool:
    return command.ranks is not None or command.threads is not None


def _again(job: Job) -> str:
    """Return the function that ends a job that has stopped early."""
    if not job.requeue:
        return bash.SUBMIT_AGAIN
    self = "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" if job.array else "$SLURM_JOB_ID"
    return bash.REQUEUE.replace("{self}", self).replace("{restarts}", str(job.restarts))


def _commands(job: Job, program: str) -> str:
    """Return the lines that run hpcopt."""
    if job.commands is None:
        if not job.array:
            return f'run {program} "$@"\n'
        return f'{bash.LINE_OF_FILE}run {program} "$@"\n'
    lines = [_line(job, command, program) for command in job.commands]
    if not job.array:
        return "".join(f"{line}\n" for line in lines)
    cases = "".join(f"    {task}) {line} ;;\n" for task, line in enumerate(lines))
    return f"case $SLURM_ARRAY_TASK_ID in\n{cases}esac\n"


def _line(job: Job, command: Command, program: str) -> str:
    """Return the line that runs a command."""
    numbers = zip(_PLACES, job.places(command), strict=True) if _is_sized(command) else ()
    line = " ".join((*(f"{name}={number}" for name, number in numbers), "run", program, shlex.join(command.arguments)))
    into = "" if command.output is None else f" > {shlex.quote(command.output)} 2>&1"
    after = "" if command.discarded is None else f"; rm -rf {shlex.quote(command.discarded)}"
    return line + into + after
