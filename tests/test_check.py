"""`hpcopt check` finds a solver's violations, and survives anything that a solver does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hpcopt.cli.main import main
from hpcopt.conformance import CHECKS

ROOT = Path(__file__).resolve().parents[1]
BROKEN = ROOT / "tests" / "solvers" / "broken.py"
SENTENCES = [check.sentence for check in CHECKS]
SOLVER = '''
from dataclasses import dataclass
from hpcopt.solvers.base import Solver, State, register

@register("mine")
@dataclass(frozen=True, kw_only=True)
class Mine(Solver[State]):
    """Does what the test wants."""
    paper = "nobody, 2026"
    def init(self, node, f, w0):
        return State(w=w0.copy())
    def rounds(self, node, f, s):
{rounds}
    def doubles(self, s, d):
        return 0
'''


@pytest.fixture
def check(tmp_path, capfd):
    """Check a file, given its text or path; return the exit code, the verdicts and the output."""

    def run(file, *arguments):
        if isinstance(file, str):
            (tmp_path / "mine.py").write_text(file)
            file = tmp_path / "mine.py"
        code = main(["check", str(file), "--json", str(tmp_path / "verdicts.json"), *arguments])
        said = capfd.readouterr()
        if not (tmp_path / "verdicts.json").exists():
            return code, None, said
        verdicts = json.loads((tmp_path / "verdicts.json").read_text())
        return code, {verdict["property"]: (verdict["verdict"], verdict["why"]) for verdict in verdicts}, said

    return run


def rounds(*lines):
    return SOLVER.format(rounds="\n".join(f"        {line}" for line in lines))


def test_the_six_rules_that_a_solver_breaks_are_named_and_the_others_hold(check):
    code, verdicts, said = check(BROKEN)
    failed = {sentence: why for sentence, (verdict, why) in verdicts.items() if verdict == "fails"}
    reasons = {
        "It reaches the optimum": r"on ridge: after \d+ rounds the gradient's norm is 0\.000.* within 2000 rounds",
        "All nodes end with the same model": r"on logistic, 5 nodes: the model of node 1, compared with that of node",
        "The ledger shows the doubles that it declares": r"on logistic, 2 nodes: doubles\(\) says 91 .* is 78 doubles",
        "It does not modify its inputs": r"on logistic: the start w0 after the run .* expected 0.2999",
        "The state of any node will do to go on": r"on logistic: the .* from node 0's state at yield 1, on all nodes",
        "It names its paper and has a summary in one line": "there is no paper; expected",
    }
    assert failed.keys() == reasons.keys()
    for sentence, reason in reasons.items():
        assert re.search(reason, failed[sentence]), failed[sentence]
        assert f"FAILS: {failed[sentence]}\n" in said.out
    assert code == 1
    assert list(verdicts) == SENTENCES
    assert {verdict for verdict, _ in verdicts.values()} == {"holds", "fails", "not asked"}


def test_a_solver_that_keeps_the_rules_holds_all_that_is_asked_of_it(check):
    status, verdicts, said = check(BROKEN.with_name("halving.py"))
    assert status == 0
    assert {verdict for verdict, _ in verdicts.values()} == {"holds", "not asked"}
    assert len(said.out.splitlines()) == 1 + len(CHECKS) + 1


def test_memory_outside_the_state_is_found_out_and_nothing_else(check):
    mean = "self.step * node.world.mean(f.at(s.w).gradient, weight=f.share)"
    heavy = f"v = 0.5 * v - {mean}\n            s.w = s.w + v"
    text = BROKEN.with_name("halving.py").read_text().replace(f"s.w = s.w - {mean}", heavy)
    _, verdicts, _ = check(text.replace("        while True", "        v = 0.0\n        while True"))
    failed = {sentence: why for sentence, (verdict, why) in verdicts.items() if verdict == "fails"}
    assert list(failed) == ["It resumes from the snapshot of any yield", "The state of any node will do to go on"]
    assert "on logistic: the trace after a checkpoint at yield 1: in row" in next(iter(failed.values()))


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["yield s.v"], "AttributeError: 'State' object has no attribute 'v' (FILE, line 13)"),
        (["raise ValueError('a\\x1b[2J\\udc80' + 999 * 'b')", "yield s"], "ValueError: a?[2J?bbb"),
        (["raise type('Odd', (Exception,), {'__str__': lambda e: 1 / 0})()", "yield s"], "Odd: (its text: ZeroDivisi"),
        (["assert node.size > 9", "yield s"], "AssertionError (FILE, line 13)"),
        (["raise SystemExit(0)", "yield s"], "SystemExit: 0 (FILE, line 13)"),
        (["raise KeyboardInterrupt", "yield s"], "KeyboardInterrupt (FILE, line 13)"),
        (["__import__('os')._exit(0)", "yield s"], "the process ended with exit code 0"),
        (["if node.rank: node.world.barrier()", "yield s"], "RuntimeError: node 1 joins barrier, the others of its"),
        (["__import__('os').abort()", "yield s"], "the process was killed (SIGABRT)"),
        (
            ["if node.rank == 0: node.group([0, 1]).barrier()", "yield s"],
            "on ridge: 4 of 4 nodes wait forever; node 0 in barrier: all nodes must make the same calls",
        ),
    ],
)
def test_a_solver_that_fails_or_leaves_or_waits_for_ever_is_told_of_in_the_table(check, lines, why, tmp_path):
    code, verdicts, said = check(rounds(*lines))
    assert code == 1
    assert list(verdicts) == SENTENCES
    verdict, told = verdicts[SENTENCES[0]]
    assert verdict == "fails"
    assert why.replace("FILE", str(tmp_path / "mine.py")) in told
    assert "Traceback" not in said.out + said.err


FOR_EVER = ["while True: pass", "yield s"]
DEAF = ["while True:", "    try:", "        while True: pass", "    except BaseException: pass", "    yield s"]


@pytest.mark.parametrize("lines", [FOR_EVER, DEAF], ids=["for ever", "deaf"])
def test_a_solver_that_never_yields_is_stopped_and_the_table_comes(check, lines):
    code, verdicts, _ = check(rounds(*lines), "--limit", "0.5")
    told = list(verdicts.values())
    assert code == 1
    assert list(verdicts) == SENTENCES
    assert sum(verdict == "fails" and "stopped after 0.5 s, still running" in why for verdict, why in told) == 2
    assert told[-1] == ("not asked", "2 checks have ended the process or run out of time")


def test_several_solvers_of_a_file_are_checked_each(check):
    two = rounds("yield s") + rounds("yield s").replace('"mine"', '"yours"')
    code, _, said = check(two)
    assert code == 1
    assert [line.split("solver ")[1] for line in said.out.splitlines() if "solver '" in line] == ["'mine'", "'yours'"]


def test_what_a_solver_prints_does_not_stand_in_the_table(check):
    _, _, said = check(rounds("print('here')", "yield s"))
    assert "here" not in said.out
    assert "here" in said.err


NOT_A_SOLVER = "from hpcopt.solvers.base import register\n@register('a')\nclass A: pass\n"
ABSTRACT = SOLVER.split("    def init", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (\n1,\n", "FILE, line 1: SyntaxError: '(' was never closed"),
        ("x = 1\n", 'FILE: registers no solver; expected a class with @register("its-name") above it'),
        ("x = 1\n\ny = x / 0\n", "FILE, line 3: ZeroDivisionError: division by zero"),
        ("import nowhere\n", "FILE, line 1: ModuleNotFoundError: No module named 'nowhere'"),
        ("def f():\n    raise SystemExit('away')\nf()\n", "FILE, line 2: SystemExit: away"),
        ("import os\nos._exit(3)\n", "FILE: while it was loaded, the process ended with exit code 3"),
        (
            rounds("yield s").replace('"mine"', '"giant"'),
            "FILE, line 5: solver 'giant' is already registered (in hpcopt.solvers.giant); take another name",
        ),
        (NOT_A_SOLVER, "FILE: 'a' is not a solver; expected a subclass of Solver"),
        (ABSTRACT, "FILE: 'mine' does not define doubles, init, rounds"),
        (2 * rounds("yield s"), "FILE, line 20: solver 'mine' is registered twice; take another name"),
        (rounds("yield s").replace('"mine"', "'\\udc80'"), "FILE, line 5: '\\udc80' is not a valid name of a solver"),
        (rounds("yield s").replace("@dataclass(", "@(lambda **_: lambda c: c)("), "FILE: 'mine' is not a dataclass"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_one_line(check, text, message, tmp_path):
    code, verdicts, said = check(text)
    assert (code, verdicts, said.out) == (1, None, "")
    assert said.err.startswith(f"hpcopt: error: {message.replace('FILE', str(tmp_path / 'mine.py'))}")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(("name", "message"), [("away.py", "no such file"), ("", "is a folder")])
def test_a_file_that_is_not_there_is_told(check, tmp_path, name, message):
    code, _, said = check(tmp_path / name)
    assert code == 1
    assert message in said.err
    assert said.err.count("\n") == 1


def test_a_file_that_loads_only_once_gets_its_table_all_the_same(check, tmp_path):
    once = f"from pathlib import Path\nPath({str(tmp_path / 'seen')!r}).touch(exist_ok=False)\n"
    _, verdicts, _ = check(once + rounds("__import__('os')._exit(0)", "yield s"))
    told = list(verdicts.values())
    assert list(verdicts) == SENTENCES
    assert told[0] == ("fails", "the process ended with exit code 0")
    assert "line 2: FileExistsError" in told[1][1]
