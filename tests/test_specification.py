"""The specification: valid input and its resolved form; every error names file, line and key."""

import json
import os
import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcopt.errors import InputError
from hpcopt.problems.table import ProblemTable
from hpcopt.runs.start import reading
from hpcopt.solvers import SOLVERS
from hpcopt.solvers.local_newton import LocalNewton
from hpcopt.solvers.parts.line_search import Armijo
from hpcopt.solvers.parts.step_size import Schedule
from hpcopt.spec.labels import labels
from hpcopt.spec.overrides import Override
from hpcopt.spec.solver_tables import build_solver
from hpcopt.spec.specification import as_toml_dict, read_specification, specification_from
from hpcopt.spec.toml_lines import key_lines
from hpcopt.topology import TOPOLOGIES

ONE = """seed = 7                     # line 1
[data]
source = "breast-cancer"
[problem]
l2 = "0.5/n"
[solver]
name = "local-newton"
local_steps = 2
[cluster]
latency = 1e-3
[stop]
target = 0.33
"""

SEVERAL = """[data]
source = "digits"
[[solvers]]
name = "giant"
[[solvers]]
name = "sgd"
batch = 10
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def at(text, name="spec.toml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return name

    return at


def refusal(name, *overrides, many=False):
    with pytest.raises(InputError) as caught:
        read_specification(name, overrides, many=many)
    message = str(caught.value)
    assert "\n" not in message
    return message


def minimal(**tables):
    return {"data": {"source": "breast-cancer"}, "solver": {"name": "giant"}, **tables}


def test_what_is_written_is_what_is_read(write):
    spec = read_specification(write(ONE))
    assert (spec.seed, spec.data.source, spec.cluster.latency, spec.stop.target) == (7, "breast-cancer", 1e-3, 0.33)
    assert spec.labelled_solvers() == [("local-newton", LocalNewton(local_steps=2))]


def test_without_a_stop_rule_a_run_has_100_rounds():
    assert as_toml_dict(specification_from(minimal()))["stop"] == {"rounds": 100, "target_on": "objective"}


@pytest.mark.parametrize("budget", [{"rounds": 7}, {"seconds": 1.5}, {"bytes": 1000.0}])
def test_a_budget_brings_no_other(budget):
    assert as_toml_dict(specification_from(minimal(stop={"target": 0.1, **budget})))["stop"] == {
        "target": 0.1,
        "target_on": "objective",
        **budget,
    }


@pytest.mark.parametrize("solver", ["ad-psgd", "agp", "dsgd-aau", "prague"])
@pytest.mark.parametrize("column", ["mean_objective", "worst_objective"])
def test_a_target_for_what_an_asynchronous_run_does_not_measure_is_refused(solver, column):
    tables = minimal(solver={"name": solver, "step_size": 0.1})
    specification_from({**tables, "stop": {"rounds": 5, "target_on": column}})
    with pytest.raises(InputError, match=f"stop.target_on: {solver} is asynchronous"):
        specification_from({**tables, "stop": {"target": 0.1, "target_on": column}})


def test_goals_alone_get_a_budget_so_that_every_run_ends():
    resolved = as_toml_dict(specification_from(minimal(stop={"target": 0.1})))["stop"]
    assert resolved == {"target": 0.1, "target_on": "objective", "rounds": 10_000}


def test_the_folder_is_named_after_the_file_and_a_dict_writes_nothing(write):
    assert read_specification(write(ONE, "studies/a9a.toml")).output.folder == "runs/a9a"
    assert specification_from(minimal()).output.folder is None


def test_generated_data_are_resolved_to_all_that_defines_them():
    spec = specification_from(minimal(seed=3, data={"source": "logistic", "rows": 50}))
    resolved = as_toml_dict(spec)["data"]
    assert resolved["rows"] == 50
    assert resolved["seed"] == 3
    assert {"features", "density", "condition", "noise"} <= resolved.keys()


@pytest.mark.parametrize("many", [False, True])
def test_the_resolved_specification_is_json_and_makes_the_same_run(write, many):
    spec = read_specification(write(SEVERAL if many else ONE), many=many)
    resolved = json.loads(json.dumps(as_toml_dict(spec)))
    again = specification_from(resolved, many=many)
    assert as_toml_dict(again) == as_toml_dict(spec)
    assert again.labelled_solvers()[-1][1] == spec.labelled_solvers()[-1][1]


def test_the_resolved_solver_has_every_parameter():
    resolved = as_toml_dict(specification_from(minimal(solver={"name": "local-newton"})))["solver"]
    assert resolved["schedule"] == "constant"
    assert resolved["line_search"]["slope"] == Armijo().slope


def test_a_dict_given_from_python_is_left_alone_and_may_hold_paths_and_tuples(tmp_path):
    given_tables = minimal(data={"path": tmp_path / "a.txt", "partition": "unequal", "fractions": (0.5, 0.5)})
    spec = specification_from(given_tables, overrides=["data.rows=5"])
    assert spec.data.path == str(tmp_path / "a.txt")
    assert spec.data.fractions == (0.5, 0.5)
    assert "rows" not in given_tables["data"]


@pytest.mark.parametrize(
    ("l2", "value"), [(0.25, 0.25), ("1/n", 0.01), ("0.5/n", 0.005), ("10/n", 0.1), (" 1e-1 / n", 1e-3)]
)
def test_l2_is_a_number_or_a_part_of_one_over_n(l2, value):
    assert ProblemTable(l2=l2).penalty_table(100) == {"name": "l2", "weight": pytest.approx(value, rel=1e-15)}


def test_paths_are_taken_from_here_first_and_then_from_the_files_folder(write):
    write("", "both.txt")
    write("", "studies/both.txt")
    write("", "studies/beside.txt")
    text = '[data]\npath = "both.txt"\ntest = "beside.txt"\n[problem]\nstart = "w0.npy"\n[solver]\nname = "giant"\n'
    spec = read_specification(write(text, "studies/spec.toml"))
    assert spec.data.path == "both.txt"
    assert spec.data.test == "studies/beside.txt"
    assert spec.problem.start == "w0.npy"  # does not exist: reading it reports that


@pytest.mark.parametrize("name", list(SOLVERS))
def test_every_solver_is_built_from_its_name_alone(name):
    assert build_solver({"name": name}) == SOLVERS[name]()


def test_a_nested_table_changes_the_parameters_default_and_not_the_types():
    built = build_solver({"name": "local-newton", "giant_line_search": {"trials": 5}})
    default = LocalNewton().giant_line_search
    assert built.giant_line_search == Armijo(slope=default.slope, shrink=default.shrink, trials=5)


@pytest.mark.parametrize(
    ("step_size", "expected"), [("auto", "auto"), (1, 1.0), ({"initial": 2}, Schedule(initial=2.0))]
)
def test_a_step_size_is_a_number_a_table_or_auto(step_size, expected):
    assert build_solver({"name": "sgd", "step_size": step_size}).step_size == expected


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ([{"name": "giant"}, {"name": "sgd", "batch": 1}], ["giant", "sgd"]),
        (
            [{"name": "sgd", "batch": 1}, {"name": "sgd", "batch": 2, "momentum": 0.5}],
            ["sgd batch=1", "sgd batch=2 momentum=0.5"],
        ),
        ([{"name": "sgd", "label": "mine"}, {"name": "sgd"}], ["mine", "sgd"]),
        ([{"name": "giant"}, {"name": "giant"}], ["giant (1)", "giant (2)"]),
        ([{"name": "giant", "line_search": {"trials": 3}}, {"name": "giant"}], ["giant line_search.trials=3", "giant"]),
    ],
)
def test_labels_tell_the_solvers_of_a_comparison_apart(tables, expected):
    assert labels(tables) == expected


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "local_steps",
            "local_stpes",
            "spec.toml, line 8: solver.local_stpes: unknown key; did you mean 'local_steps'?",
        ),
        ("[stop]", "[stpo]", "spec.toml, line 11: stpo: unknown key; did you mean 'stop'?"),
        ("latency", "zzz", r"spec.toml, line 10: cluster.zzz: unknown key \(known: kind, workers, calibration, .*\)"),
        ('"0.5/n"', "true", 'spec.toml, line 5: problem.l2: expected a number >= 0 or "c/n", got true'),
        ('"0.5/n"', '"n"', 'spec.toml, line 5: problem.l2: expected a number >= 0 or "c/n", as in "1/n", got "n"'),
        ('"0.5/n"', "-1", 'spec.toml, line 5: problem.l2: expected a number >= 0 or "c/n", got -1'),
        ('"0.5/n"', "nan", "spec.toml, line 5: problem.l2: expected a finite number, got nan"),
        ("0.33", "inf", "spec.toml, line 12: stop.target: expected a finite number, got inf"),
        (
            "0.33",
            '"low"',
            'spec.toml, line 12: stop.target: expected a number or a table { suboptimality, relative }, got "low"',
        ),
        ("0.33", "{ a = 1 }", "spec.toml, line 12: stop.target.a: unknown key (known: suboptimality, relative)"),
        (
            "0.33",
            "2020-01-01",
            (
                "spec.toml, line 12: stop.target: expected a number or a table { suboptimality, relative }, "
                "got date 2020-01-01"
            ),
        ),
        ("1e-3", "-1", "spec.toml, line 10: cluster.latency: expected a number >= 0, got -1"),
        ("seed = 7", "seed = 1.5", "spec.toml, line 1: seed: expected an integer >= 0, got 1.5"),
        ("= 2", "= 0", "spec.toml, line 8: solver.local_steps: at least 1, got 0"),
        ("= 2", '= "2"', 'spec.toml, line 8: solver.local_steps: expected an integer, got "2"'),
        (
            "local_steps = 2",
            "line_search = { slop = 1 }",
            "spec.toml, line 8: solver.line_search.slop: unknown key; did you mean 'slope'?",
        ),
        (
            "local_steps = 2",
            "line_search.slope = 0.7",
            "spec.toml, line 8: solver.line_search.slope: between 0 and 0.5, got 0.7",
        ),
        (
            "local_steps = 2",
            "line_search = 3",
            r"spec.toml, line 8: solver.line_search: expected a table \{ slope, .*\}, got 3",
        ),
        (
            "local_steps = 2",
            'schedule = "adaptiv"',
            r"spec.toml, line 8: solver.schedule: expected one of .*, got \"adaptiv\"; did you mean 'adaptive'\?",
        ),
        (
            "local-newton",
            "local-newtn",
            r"spec.toml, line 7: solver.name: unknown solver 'local-newtn'; did you mean 'local-newton'\?.*",
        ),
        ('"local-newton"', "3", r"spec.toml, line 7: solver.name: expected the name of a solver \(.*\), got 3"),
        ('name = "local-newton"', "", r"spec.toml, line 6: solver.name: missing; expected the name of a solver \(.*\)"),
        (
            "breast-cancer",
            "breast",
            r"spec.toml, line 3: data.source: expected one of .*, got \"breast\"; did you mean 'breast-cancer'\?",
        ),
        ('source = "breast-cancer"', "", "spec.toml, line 2: data: missing; .*"),
        (
            "[data]",
            '[data]\npath = "a"',
            "spec.toml, line 4: data.source: given together with path; remove one of the two",
        ),
        (
            "l2 =",
            "loss = 'logistc'\nl2 =",
            r"spec.toml, line 5: problem.loss: expected one of .*; did you mean 'logistic'\?",
        ),
        ("[problem]", "[problem", "spec.toml, line 4, column 9: invalid TOML: .*"),
        ("seed = 7", "seed 7", "spec.toml, line 1, column 6: invalid TOML: expected '=' after a key.*"),
    ],
)
def test_a_refusal_names_the_file_the_line_the_key_and_what_would_be_right(write, old, new, message):
    found = refusal(write(ONE.replace(old, new, 1)))
    assert found == message or re.fullmatch(message, found), found


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("solver.local_stpes=2", "--set solver.local_stpes=2: unknown key; did you mean 'local_steps'?"),
        ("cluster.cabinets.hubs=3", "--set cluster.cabinets.hubs=3: cluster.cabinets: unknown key (known: "),
        ("cluster.speeds=[1, 0]", "--set cluster.speeds=[1, 0]: cluster.speeds.1: expected a number > 0, got 0"),
        ("cluster.bandwidth=0", "--set cluster.bandwidth=0: expected a number > 0, got 0"),
        ("data.test_fraction=1", "--set data.test_fraction=1: expected a number >= 0 and < 1, got 1"),
        ("data.rows=0", "--set data.rows=0: expected an integer >= 1, got 0"),
        ("data.partition=dirichlt", "--set data.partition=dirichlt: expected one of "),
        ("data.partition=dirichlet", 'spec.toml, line 2: data.alpha: missing; partition = "dirichlet" needs it'),
        ("data.alpha=1", '--set data.alpha=1: requires partition = "dirichlet"; partition is "shuffled"'),
        (
            "data.features=3",
            "--set data.features=3: only used with generated data (source = logistic, least-squares, ",
        ),
        ("data.test=a.txt", "--set data.test=a.txt: requires path; with source use test_fraction"),
        ("data.classes={positive=[1]}", "--set data.classes={positive=[1]}: data.classes.negative: missing; "),
        ("data.classes={positive=[1], negative=[1]}", "--set data.classes={positive=[1], negative=[1]}: 1 cannot be "),
        (
            "problem.start=one",
            '--set problem.start=one: expected "zeros", "ones", "random" or the path of a .npy file, ',
        ),
        ("problem.l1=-1", '--set problem.l1=-1: expected a number >= 0 or "c/n", got -1'),
        ("output.record_every=-1", '--set output.record_every=-1: expected an integer >= 0 or "auto", got -1'),
        ("output.folder=3", "--set output.folder=3: expected text, got 3"),
        ("data=3", "--set data=3: expected a table, got 3"),
        (
            "solver.label=a/b",
            '--set solver.label=a/b: expected up to 80 printable characters without slashes, got "a/b"',
        ),
        (
            r'solver.label="\u009b1m"',
            r'--set solver.label="\u009b1m": expected up to 80 printable characters without slashes, got "\u009b1m"',
        ),
        (
            r'solver.label="\u202eb"',
            r'--set solver.label="\u202eb": expected up to 80 printable characters without slashes, got "\u202eb"',
        ),
        ("solver.name=sgd", "spec.toml, line 8: solver.local_steps: unknown key; did you mean 'step_size'?"),
        ("stop.target", "--set stop.target: expected key.path=value, as in solver.local_steps=2"),
        ("stop..target=1", "--set stop..target=1: expected key.path=value, as in solver.local_steps=2"),
        ("seed.x=1", "--set seed.x=1: seed is not a table and has no key 'x'"),
        ('output.folder="a', '--set output.folder="a: expected a TOML string, or text without quotes'),
        ("output.folder='a'b", "--set output.folder='a'b: expected a TOML string, or text without quotes"),
        ('output.folder="\\udcff"', '--set output.folder="\\udcff": expected a TOML string, or text without quotes'),
    ],
)
def test_a_refused_override_is_named_as_one(write, override, message):
    assert refusal(write(ONE), override).startswith(message)


def test_an_option_with_an_override_of_its_own_is_named_instead(write):
    assert refusal(write(ONE), Override("seed=x", "--array seed=x")).startswith("--array seed=x: expected an integer")
    assert refusal(write(ONE), Override("seed.x=1", "--virtual 2")).startswith("--virtual 2: seed is not a table")


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("seed=9", ("seed",), 9),
        ("solver.local_steps = 5", ("solver", "local_steps"), 5),
        ("problem.l2=1/n", ("problem", "l2"), "1/n"),
        ("problem.l2=0.5", ("problem", "l2"), 0.5),
        ("problem.intercept=true", ("problem", "intercept"), True),
        ("cluster.speeds=[1, 2.5]", ("cluster", "speeds"), (1.0, 2.5)),
        ("output.folder=runs/a=b", ("output", "folder"), "runs/a=b"),
        ('output.folder="3"', ("output", "folder"), "3"),
        ("output.folder=2020-01-01", ("output", "folder"), "2020-01-01"),
        ("solver.line_search.slope=0.2", ("solver", "line_search", "slope"), 0.2),
    ],
)
def test_an_override_sets_its_key(write, override, path, value):
    found = as_toml_dict(read_specification(write(ONE), [override]))
    for step in path:
        found = found[step]
    assert (tuple(found) if isinstance(value, tuple) else found) == value


@pytest.mark.parametrize("folder", [*map(chr, range(1, 256)), "\udcff", "\u2028", "\U0001f600", '"a"', "\\udcff", "'"])
def test_any_output_folder_is_used_as_given(folder):
    assert reading(minimal(), [], f"{folder}/out", many=False).output.folder == f"{folder}/out"


def test_the_last_override_of_a_key_holds(write):
    assert read_specification(write(ONE), ["seed=1", "seed=2"]).seed == 2


def test_a_solver_and_a_network_are_built_once():
    spec = specification_from(minimal(solver={"name": "d-psgd"}))
    assert spec.labelled_solvers()[0][1] is spec.labelled_solvers()[0][1] is spec.built[0]
    assert spec.topology == TOPOLOGIES["ring"]()
    assert as_toml_dict(spec)["cluster"]["topology"] == {"name": "ring", "weights": "auto"}
    assert specification_from(minimal()).topology is None


def test_an_override_reaches_one_of_several_solvers(write):
    spec = read_specification(write(SEVERAL), ["solvers.1.batch=20"], many=True)
    assert spec.labelled_solvers()[1][1].batch == 20


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("solvers.2.batch=1", "--set solvers.2.batch=1: solvers is a list with indices 0 to 1, got '2'"),
        ("solvers.x.batch=1", "--set solvers.x.batch=1: solvers is a list with indices 0 to 1, got 'x'"),
        ("solvers.1.batch=-1", "--set solvers.1.batch=-1: at least 0, got -1"),
        ("solvers.0.batch=1", "--set solvers.0.batch=1: unknown key (known: "),
    ],
)
def test_a_refused_override_of_one_of_several_solvers_is_named(write, override, message):
    assert refusal(write(SEVERAL), override, many=True).startswith(message)


def test_an_error_in_one_of_several_solvers_has_its_line(write):
    message = refusal(write(SEVERAL.replace("batch = 10", "bach = 10")), many=True)
    assert message == "spec.toml, line 7: solvers.1.bach: unknown key; did you mean 'batch'?"


def test_a_run_wants_one_solver_and_a_comparison_takes_either(write):
    assert "a run takes one table [solver], not tables [[solvers]]" in refusal(write(SEVERAL))
    assert len(read_specification(write(SEVERAL), many=True).labelled_solvers()) == 2
    assert len(read_specification(write(ONE), many=True).labelled_solvers()) == 1


@pytest.mark.parametrize(("many", "table"), [(False, "[solver]"), (True, "[[solvers]]")])
def test_a_specification_without_solver_is_told_the_table(write, many, table):
    message = refusal(write('[data]\nsource = "digits"\n'), many=many)
    assert table in message
    assert message.startswith("spec.toml: solver")


def test_solver_and_solvers_together_are_refused(write):
    assert "remove one of the two" in refusal(write(SEVERAL + '[solver]\nname = "giant"\n'), many=True)


def test_two_solvers_with_one_label_are_refused(write):
    text = SEVERAL.replace('"giant"', '"giant"\nlabel = "a"').replace("batch = 10", 'label = "a"')
    assert (
        refusal(write(text), many=True) == 'spec.toml, line 8: solvers.1.label: "a" is also the label of another solver'
    )


@pytest.mark.parametrize(
    ("problem", "what"), [({"l2": 0}, "l2 > 0"), ({"l2": "0/n"}, "l2 > 0"), ({"intercept": True}, "intercept = false")]
)
def test_a_certified_gap_is_refused_where_nothing_certifies_it(problem, what):
    with pytest.raises(InputError, match=re.escape(f"stop.gap: requires problem.{what}")):
        specification_from(minimal(stop={"gap": 1e-3}, problem=problem))


def test_speeds_are_one_for_each_worker():
    with pytest.raises(InputError, match=r"^cluster\.speeds: expected one for each of the 3 workers, got 2$"):
        specification_from(minimal(cluster={"workers": 3, "speeds": [1, 2]}))


def test_both_ways_to_a_test_set_are_refused():
    with pytest.raises(InputError, match=r"^data\.test_fraction: given together with test"):
        specification_from(minimal(data={"path": "a", "test": "b", "test_fraction": 0.1}))


def test_a_missing_file_a_folder_and_a_binary_file_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    assert refusal("nowhere.toml") == "nowhere.toml: no such file"
    assert refusal(".").startswith(".: is a folder")
    assert refusal("binary.toml").startswith("binary.toml: is not UTF-8 text")
    os.mkfifo("pipe.toml")
    assert refusal("pipe.toml") == "pipe.toml: not a regular file"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = 0\nx = " + "9" * 5000, ", line 2, column 5: invalid TOML: an integer of more than 4300 digits"),
        ("x = " + "[" * 2000 + "]" * 2000, ": invalid TOML: tables and lists nested more than 100 deep"),
        ("x = " + "{a=" * 2000 + "1" + "}" * 2000, ": invalid TOML: tables and lists nested more than 100 deep"),
        ("x = " + "[" * 200 + "]" * 200, ": invalid TOML: tables and lists nested more than 100 deep"),
        ("a." * 2000 + "b = 1", ": invalid TOML: tables and lists nested more than 100 deep"),
        ('[data]\npath = "a\\u0000b"', ', line 2: data.path: expected text without null characters, got "a\\u0000b"'),
        ('[data]\npath = "a"\n"b\\nc" = 1', ", line 3: data.b\\nc: unknown key"),
    ],
)
def test_what_a_reader_of_toml_does_not_survive_is_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.toml").write_text(text, encoding="utf-8")
    told = refusal("odd.toml")
    assert told.startswith(f"odd.toml{message}")
    assert told.isprintable()


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_bytes(b"\xef\xbb\xbf" + ONE.replace("\n", "\r\n").encode())
    assert read_specification(path).seed == 7
    path.write_bytes(ONE.replace("= 2", "= 0").replace("\n", "\r\n").encode())
    with pytest.raises(InputError, match=r"spec\.toml, line 8: solver\.local_steps"):
        read_specification(path)


WINDING = '''# a comment with [brackets] = and "quotes
top = """
not.a.key = 1
[neither]
\\""" still inside""""
[ "quoted \\u00e9" . b ]
x.y = { z = 1, "w w" = [ 1, [ 2 ] ] }  # inline
list = [
  # a comment, with ] and ,
  "one # not a comment",
  { name = "}" }, ]
[[many]]
a = \'\'\'
[many.inner]
\'\'\'
[many.inner]
b = 1
[[many]]
[[many.deep]]
c = 2020-01-01T00:00:00
[[many.deep]]
c = 2
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("quoted é", "b"), 6),
        (("quoted é", "b", "x", "y"), 7),
        (("quoted é", "b", "x", "y", "w w", 1, 0), 7),
        (("quoted é", "b", "list"), 8),
        (("quoted é", "b", "list", 0), 10),
        (("quoted é", "b", "list", 1, "name"), 11),
        (("many", 0, "a"), 13),
        (("many", 0, "inner", "b"), 17),
        (("many", 1), 18),
        (("many", 1, "deep", 0, "c"), 20),
        (("many", 1, "deep", 1, "c"), 22),
    ],
)
def test_a_keys_line_is_found_through_every_construct_of_toml(path, line):
    value = tomllib.loads(WINDING)
    for step in path:
        value = value[step]
    assert key_lines(WINDING)[path] == line


@pytest.mark.parametrize("text", ["not.a.key", "neither", "inner"])
def test_what_stands_inside_a_string_is_no_key(text):
    assert not any(path[-1] == text for path in key_lines(WINDING) if path[:2] != ("many", 0))


texts = st.text(alphabet="ab0\"'#=[]{},.\\ é\n", max_size=12)


@given(st.dictionaries(texts, texts, max_size=6))
def test_any_keys_and_strings_leave_the_lines_right(table):
    text = "".join(f"{json.dumps(key)} = {json.dumps(value)}\n\n" for key, value in table.items())
    assert tomllib.loads(text) == table
    assert key_lines(text) == {(key,): 1 + 2 * place for place, key in enumerate(table)}
