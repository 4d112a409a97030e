"""Brings up a real SLURM for tests, on this machine and for this user alone, and takes it down whatever happens.

One slurmctld, and a slurmd for each of several nodes that pretend to be machines of their own: MPI libraries believe
it, too. All of them listen on this machine only, at ports that are free, write into one folder, and need neither
systemd nor cgroups, nor an installation that is configured. Debian's packages are enough:
slurmctld slurmd slurm-client slurm-wlm-basic-plugins
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.launch import SETTINGS, TAG, kill_tagged, sweep_shared_memory

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
_PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])  # where Debian keeps daemons
_MISSING = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]

requires_slurm = pytest.mark.skipif(bool(_MISSING), reason=f"SLURM is not installed here: no {', '.join(_MISSING)}")
"""Skips a test if SLURM is not installed; used with the marker `slurm`."""

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0,sched_min_interval=0
ReturnToService=1
KillWait=2
CompleteWait=0
PropagateResourceLimits=NONE
FirstJobId={first}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} Boards=1 SocketsPerBoard=1 "
    "CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory=1000 State=UNKNOWN\n"
)


class Slurm:
    """A running SLURM.

    Attributes
    ----------
    folder
        Its folder; `slurmctld.log`, and `n1.log` of each node, are in it.
    env
        Variables with which SLURM's commands, and what they start, use it and belong to it.
    """

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = env

    def run(self, *command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command; return its exit status and its output."""
        words = [str(word) for word in command]
        return subprocess.run(
            words,
            cwd=cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def told(self, *command: str | Path, cwd: Path | None = None) -> str:
        """Run a command that must succeed; return what it prints."""
        done = self.run(*command, cwd=cwd)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def submit(self, *arguments: str | Path, cwd: Path) -> str:
        """Submit a job from a folder; return its number."""
        return self.told("sbatch", "--parsable", *arguments, cwd=cwd).strip()

    def job(self, number: str) -> dict[str, str]:
        """Return all that SLURM knows about a job, or a task of an array."""
        words = self.told("scontrol", "--oneliner", "show", "job", number).split()
        return dict(word.partition("=")[::2] for word in words if "=" in word)

    def until(self, number: str, *wanted: str, timeout: float = 100) -> dict[str, str]:
        """Wait until a job's state is one of those wanted; return what SLURM knows about it then."""
        deadline = time.monotonic() + timeout
        while (job := self.job(number))["JobState"] not in wanted:
            assert time.monotonic() < deadline, f"job {number} is {job['JobState']}, not {wanted}\n{self.logs()}"
            time.sleep(0.1)
        return job

    def logs(self) -> str:
        """Return the ends of the daemons' logs."""
        return "\n".join(f"--- {log.name}\n{log.read_text()[-2000:]}" for log in sorted(self.folder.glob("*.log")))


@contextlib.contextmanager
def slurm(folder: Path, nodes: int = 2, cpus: int = 4) -> Iterator[Slurm]:
    """Run a SLURM with nodes n1, n2, ... of `cpus` cores each, which may be more than there are."""
    names = [f"n{number}" for number in range(1, nodes + 1)]
    tag = uuid.uuid4().hex
    temporary = folder / "tmp"  # of the jobs: what they leave is removed with it
    for place in (folder / "state", temporary, *(folder / name for name in names)):
        place.mkdir(parents=True)
    _configure(folder, names, cpus)
    env = {**os.environ, **SETTINGS, TAG: tag, "SLURM_CONF": str(folder / "slurm.conf")}
    env |= {"TMPDIR": str(temporary), "PATH": os.pathsep.join([str(Path(sys.executable).parent), _PATH])}
    running = Slurm(folder, env)
    daemons = [["slurmctld", "-D"], *(["slurmd", "-D", "-N", name] for name in names)]
    started = []
    try:
        for command in daemons:
            with (folder / f"{command[-1].strip('-')}.said").open("wb") as said:
                started.append(_start(command, env, said))
        _wait_for_nodes(running, nodes)
        yield running
    finally:
        _kill_job_daemons(folder)
        kill_tagged(tag)
        for daemon in started:
            daemon.wait()
        sweep_shared_memory()
        shutil.rmtree(folder, ignore_errors=True)


def _start(command: list[str], env: dict[str, str], said: BinaryIO) -> subprocess.Popen[bytes]:
    """Start a daemon, which ends with this process even if that is killed."""
    words = ["setpriv", "--pdeathsig", "KILL", *command]
    return subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)


def _kill_job_daemons(folder: Path) -> None:
    """Kill SLURM's daemons of single jobs: they write their titles over their environment, and so have no tag."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended, or isn't ours
            is_one = (process / "comm").read_text() == "slurmstepd\n"
            if is_one and any(folder in file.readlink().parents for file in (process / "fd").iterdir()):
                os.kill(int(process.name), signal.SIGKILL)


def _configure(folder: Path, names: list[str], cpus: int) -> None:
    host, user = socket.gethostname().partition(".")[0], getpass.getuser()
    with contextlib.ExitStack() as held:  # all at once, so that they differ
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(len(names) + 1)]
        ports = [each.getsockname()[1] for each in sockets]
    # MPICH names its shared memory after the job, so that no job of an earlier SLURM must have had the same number
    first = int(time.time()) % 60_000_000 + 1
    text = CONFIGURATION.format(folder=folder, host=host, user=user, ports=ports, first=first)
    nodes = [
        NODE.format(name=name, host=host, port=port, cpus=cpus) for name, port in zip(names, ports[1:], strict=True)
    ]
    (folder / "slurm.conf").write_text("".join(nodes) + text)
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")


def _wait_for_nodes(running: Slurm, nodes: int) -> None:
    deadline = time.monotonic() + 30
    while running.run("sinfo", "--noheader", "--Node", "--format=%T").stdout.split() != ["idle"] * nodes:
        said = "".join(path.read_text() for path in running.folder.glob("*.said"))
        assert time.monotonic() < deadline, f"SLURM does not come up\n{said}\n{running.logs()}"
        time.sleep(0.05)
