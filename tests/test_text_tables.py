"""Tables for documents: names to the letter, numbers as printed, in LaTeX and in Markdown."""

import json
import re

import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.results import folder as folders
from hpcopt.results.goal import Goal
from hpcopt.results.medians import median_row
from hpcopt.results.tables import compare_rows
from hpcopt.results.text_tables import write_table
from tests.test_plots import finished, trace

ODD = r"a & b % $x_1$ # {c} ~ ^ \d <e> |f| `g` *h*"


def table_of(tmp_path, name, rows, goal=None):
    write_table(rows, goal or Goal(), tmp_path / f"compare.{name}")
    return (tmp_path / f"compare.{name}").read_text().splitlines()


def rows_of(*labels, objectives=(4.0, 0.9, 2.5e-7)):
    return compare_rows([finished(label, trace(*objectives)) for label in labels], Goal(1.0))


def test_the_letters_of_a_name_mean_nothing_to_latex(tmp_path):
    lines = table_of(tmp_path, "tex", rows_of(ODD, "[x]", "new\nline"))
    first, second, third = (line for line in lines if line.endswith(r" \\") and not line.startswith("solver"))
    assert first.startswith(
        r"a \& b \% \$x\_1\$ \# \{c\} \textasciitilde{} \textasciicircum{} \textbackslash{}d "
        r"\textless{}e\textgreater{} \textbar{}f\textbar{} `g` *h* & "
    )
    assert second.startswith("{}[x] & ")  # after a line's end, [x] would be an argument
    assert third.startswith("new line & ")


def test_the_table_is_a_tabular_of_booktabs_with_as_many_cells_in_each_row(tmp_path):
    lines = table_of(tmp_path, "tex", rows_of("gt", ODD), Goal(1.0))
    assert lines[:2] == [
        r"% needs \usepackage{booktabs}",
        "% rounds, MB and seconds until the objective is at most 1",
    ]
    begin = re.fullmatch(r"\\begin\{tabular\}\{(lr+)\}", lines[2])
    rules = [line for line in lines if re.fullmatch(r"\\\w+(\{tabular\})?", line)]
    assert rules == [r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}"]
    rows = [line for line in lines if line.endswith(r" \\")]
    assert [len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows] == [len(begin[1])] * 3
    assert rows[0] == r"solver & rounds & MB & seconds & final objective & gradient norm & passes over data \\"
    assert rows[1] == (
        r"gt & \textbf{2} & \textbf{0.001} & \textbf{0.5} & $2.50000\times 10^{-7}$ & $3.3\times 10^{-1}$ & 6.0 \\"
    )


def test_a_name_in_markdown_is_shown_to_the_letter_in_one_cell(tmp_path):
    head, rule, row, empty, caption = table_of(tmp_path, "md", rows_of(ODD), Goal(1.0))
    assert row.startswith(r"| a \& b % \$x\_1\$ \# \{c\} \~ ^ \\d \<e\> \|f\| \`g\` \*h\* | **2** | ")
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in (head, rule, row)] == [8, 8, 8]
    assert rule.startswith("| --- | ---: | ")
    assert (empty, caption) == ("", "rounds, MB and seconds until the objective is at most 1")


def test_quartiles_over_seeds_follow_the_median(tmp_path):
    traces = [trace(*(4.0,) * rounds, 0.5) for rounds in (1, 2, 3)] + [trace(4.0, 4.0)]
    row = median_row(compare_rows([finished("gt", records) for records in traces], Goal(1.0)), "gt")
    assert r"gt & \textbf{5} [3.5--never] & " in table_of(tmp_path, "tex", [row], Goal(1.0))[6]
    lines = table_of(tmp_path, "md", [row], Goal(1.0))
    assert r"| gt | **5** \[3.5 - never\] | " in lines[2]
    assert lines[-1].endswith("medians of 4 seeds, with quartiles in brackets")


RIDGE = {
    "data": {"source": "least-squares", "rows": 40, "features": 3},
    "problem": {"loss": "squared"},
    "stop": {"rounds": 4},
    "solvers": [{"name": "giant"}, {"name": "lbfgs", "label": "L_BFGS"}],
}


@pytest.fixture(autouse=True)
def looks(monkeypatch):
    """Draw no pictures; return the looks of those that would be drawn."""
    drawn = []
    for place in ("runs.execute.draw_convergence", "studies.compare.draw_compare"):
        monkeypatch.setattr(f"hpcopt.{place}", lambda *_: None)
    monkeypatch.setattr("hpcopt.studies.overlay.draw_compare", lambda *arguments: drawn.append(arguments[-1]))
    return drawn


def test_plot_writes_the_table_beside_the_picture_also_of_an_unfinished_run(tmp_path, capsys):
    out = tmp_path / "both"
    hpcopt.compare(RIDGE, folder=out)
    described = json.loads((out / "giant" / folders.RUN).read_text())
    (out / "giant" / folders.RUN).write_text(json.dumps({**described, "result": None}))
    assert main(["plot", str(out), "--table", "md", "--label", "L_BFGS=quasi-Newton"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out / "compare.md")
    lines = (out / "compare.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines[2:4]] == [r"| giant \[unfinished\]", "| quasi-Newton"]
    assert main(["plot", str(out), "--table", "tex", "-o", str(tmp_path / "fig.pdf")]) == 0
    assert (tmp_path / "fig.tex").read_text().startswith("% needs")
    assert main(["plot", str(out), "--table", "bib"]) == 2
    assert "table: expected one of tex, md; got 'bib'" in capsys.readouterr().err
    hpcopt.compare(RIDGE, folder=out, overwrite=True)
    assert not (out / "compare.md").exists()


def test_compare_takes_the_options_of_the_picture_and_of_the_table(tmp_path, looks, capsys):
    (tmp_path / "a.toml").write_text(
        '[data]\nsource = "breast-cancer"\n[stop]\nrounds = 3\n[[solvers]]\nname = "giant"\n'
    )
    common = ["compare", str(tmp_path / "a.toml"), "--out", str(tmp_path / "out"), "--virtual", "2", "--overwrite"]
    assert main([*common, "--quiet"]) == 0
    assert not looks
    assert main([*common, "--x", "bytes", "--table", "tex", "--label", "giant=GIANT"]) == 0
    assert looks[0].x == ("bytes",)
    assert "GIANT & " in (tmp_path / "out" / "compare.tex").read_text()
    assert f"table: {tmp_path / 'out' / 'compare.tex'}\n" in capsys.readouterr().out
    assert main([*common, "--label", "other=GIANT"]) == 0  # the runs are done
    assert "other is not among the runs that are shown" in capsys.readouterr().err
    assert main([*common, "--x", "bogus"]) == 2
