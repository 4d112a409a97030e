"""From a specification to a job: checked where it is submitted, before it waits in the queue.

The data are not read: the nodes may see files that the login node does not.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpcopt.batch.job import Command, Job, output_in
from hpcopt.errors import InputError, Remedy
from hpcopt.outputs import check_folder
from hpcopt.results.checked import description as described_in
from hpcopt.results.folder import RUN
from hpcopt.runs.identity import difference, told
from hpcopt.runs.resuming import MAY_DIFFER
from hpcopt.spec.overrides import Override
from hpcopt.spec.specification import Specification, as_toml_dict, read_specification
from hpcopt.version import __version__

SCRIPT = "job.sbatch"
"""The name of the script, in the folder of the run."""


@dataclass(frozen=True)
class Submission:
    """A checked job that runs a specification.

    Parameters
    ----------
    job
        The job.
    folder
        The output folder of its run; of an array, the one with the folders of all its runs.
    missing
        The files of the specification that are not here, where it is checked.
    """

    job: Job
    folder: Path
    missing: tuple[Path, ...]

    def output(self, number: str) -> Path:
        """Return the file of the output of the job, of an array of the first of its jobs, once it has a number."""
        kept = {"%x": self.job.name, "%j": number, "%A": number, "%a": "0"}
        return Path(re.sub("%[xjAa]", lambda found: kept[found[0]], str(self.job.output)))


def submission(
    file: Path,
    job: Job,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    array: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Submission:
    """Return the job that runs, or compares, the solvers of a specification, and goes on where it has stopped.

    Parameters
    ----------
    file
        The specification.
    job
        The resources; its commands and its output are replaced.
    overrides
        `key.path=value` each.
    folder
        The output folder; default: that of the specification.
    array
        `key.path=value,value,...` each: the job is an array with a task for each combination of values.
    options
        More options of `hpcopt run` and `hpcopt compare`.

    Raises
    ------
    InputError
        For any error in the specification, with each of the combinations; for a number of ranks that it cannot have;
        for a folder that cannot be written, or holds another run.
    """
    keys = [text.partition("=")[0].strip() for text in array]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise InputError(f"--array: {twice} is given twice; put all its values into one: {twice}=V,V,...")
    if "output.folder" in keys:
        raise InputError("--array: output.folder: each of its runs has a folder of its own, named after its values")
    combinations = list(itertools.product(*map(_alternatives, array)))
    checked = [_checked(file, [*overrides, *chosen], job) for chosen in combinations]
    base = folder or Path(checked[0][1].output.folder or "")
    check_folder(base)
    output = output_in(base, array=bool(array))
    commands = []
    for chosen, out, (verb, spec) in zip(combinations, _folders(base, combinations), checked, strict=True):
        if verb == "run":
            _check_resumes(out, spec)
        given = [word for text in (*overrides, *chosen) for word in ("--set", text)]
        given += ["--out", str(out)] if folder or array else []
        commands.append(Command(arguments=(verb, str(file), *given, *options, "--resume")))
    missing = dict.fromkeys(path for _, spec in checked for path in spec.files if not path.exists())
    whole = replace(job, commands=tuple(commands), array=bool(array), output=output)
    return Submission(whole, base, tuple(missing))


def _checked(file: Path, overrides: Sequence[str], job: Job) -> tuple[str, Specification]:
    """Return the command for a specification, and the specification."""
    verb = "run"
    try:
        spec = read_specification(file, overrides)
    except InputError as error:
        if error.remedy is not Remedy.COMPARE:
            raise
        verb, spec = "compare", read_specification(file, overrides, many=True)
    ranks, cluster = job.nodes * job.tasks_per_node, spec.cluster
    if cluster.kind == "virtual" and ranks > 1:
        what = f"a virtual cluster runs in one process, but the job has {ranks} ranks"
        raise InputError(f"cluster.kind: {what}; give one node and one task")
    nodes, alone = cluster.nodes(), cluster.kind != "mpi" and ranks == 1  # which has virtual nodes
    if nodes not in {None, ranks} and not alone:
        raise InputError(f"cluster.workers: {nodes} ranks needed, but the job has {ranks}")
    return verb, spec


def _check_resumes(folder: Path, spec: Specification) -> None:
    """Raise an error if a folder holds a run that this specification does not go on with; the job would end at once."""
    if not (folder / RUN).exists():
        return
    apart = (*MAY_DIFFER, "cluster", "solver_file", "solver_package")
    here = json.loads(json.dumps({"hpcopt": __version__, "specification": as_toml_dict(spec)}))
    change = difference(told(described_in(folder / RUN), apart), told(here, apart))
    if change:
        raise InputError(f"{folder}: holds another run: {change}", Remedy.FOLDER)


def _alternatives(text: str) -> list[str]:
    """Return an override for each of the values in `key.path=value,value,...`."""
    key, equals, values = text.partition("=")
    found = [value.strip() for value in values.split(",")]
    if not key.strip() or not equals or not all(found):
        raise InputError(f"--array {text}: expected key.path=value,value,..., as in seed=0,1,2")
    return [Override(f"{key.strip()}={value}", f"--array {key.strip()}={value}") for value in found]


def _folders(base: Path, combinations: Sequence[Sequence[str]]) -> list[Path]:
    """Return the folder of each combination's run, named after it."""
    names = [re.sub(r"[^\w.=,-]+", "-", ",".join(chosen)) for chosen in combinations]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--array: two of its runs would have the same folder, {base / name}")
    return [base / name if name else base for name in names]
