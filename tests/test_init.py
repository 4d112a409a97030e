"""`hpcopt init`: the specification for newcomers."""

from __future__ import annotations

import json
import re

import pytest

from hpcopt.cli.main import main


@pytest.fixture
def written(tmp_path, monkeypatch, capsys):
    """The specification in the folder where the commands run, and the output."""
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    return tmp_path / "my.toml", capsys.readouterr().out


def test_it_runs_as_it_stands_and_converges(written, capsys):
    path, said = written
    assert "\n  hpcopt run my.toml\n" in said
    assert main(["run", "my.toml"]) == 0
    result = json.loads((path.parent / "runs" / "my" / "run.json").read_text())["result"]
    assert result["status"] == "gradient"
    assert main(["run", "my.toml", "--virtual", "100", "--quiet", "--out", "virtual"]) == 0


def test_every_key_has_a_comment(written):
    lines = written[0].read_text().splitlines()
    keys = [line for line in lines if re.match(r"(# )?[a-z_0-9]+ = ", line)]
    assert len(keys) > 15
    assert [line for line in keys if not re.search(r"\S\s+# \w", line[2:])] == []


def test_its_commented_solvers_can_be_compared(written, capsys):
    path, _ = written
    text = path.read_text().replace("[solver]\n", "[[solvers]]\n")
    begun, rest = text.split("# [[solvers]]", 1)
    solvers, rest = rest.split("\n[cluster]", 1)
    path.write_text(begun + "[[solvers]]" + re.sub(r"^# ?", "", solvers, flags=re.MULTILINE) + "\n[cluster]" + rest)
    assert main(["compare", "my.toml", "--virtual", "4"]) == 0
    said = capsys.readouterr().out
    for name in ("newton-cg", "giant", "local-newton", "CHOCO-SGD, top 10 %"):
        assert name in said


def test_it_never_overwrites(tmp_path, capsys):
    path = tmp_path / "mine.toml"
    path.write_text("seed = 7\n")
    assert main(["init", str(path)]) == 1
    assert f"{path}: already exists" in capsys.readouterr().err
    assert path.read_text() == "seed = 7\n"


def test_its_comments_call_the_file_by_its_name(tmp_path, capsys):
    path = tmp_path / "first.toml"
    assert main(["init", str(path)]) == 0
    assert f"hpcopt run {path}" in path.read_text()
    assert "my.toml" not in path.read_text()


@pytest.mark.parametrize(("verb", "kept"), [("run", None), ("compare", "[solver]"), ("compare", "[[solvers]]")])
def test_run_and_compare_take_what_they_can_and_else_name_the_other(written, verb, kept, capsys):
    path, _ = written
    path.write_text(path.read_text().replace("[solver]\n", f"{kept or '[[solvers]]'}\n"))
    code = main([verb, "my.toml", "--quiet"])
    if kept is None:
        assert code == 1
        assert "a run takes one table [solver], not tables [[solvers]]; for several use: hpcopt compare" in (
            capsys.readouterr().err
        )
    else:
        assert code == 0
