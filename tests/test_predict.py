"""Predictions from a model file: their destination, their accuracy, and rejected outputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.models.model import Model

X = np.array([[2.0, 0.0], [-1.0, 1.0], [0.5, 0.0], [-3.0, 0.0], [1.0, 9.0]])
SIDES = np.array([1, -1, 1, -1, 1])  # of the model below
GROUPS = {"positive": [7.0, 3.0], "negative": [0.0]}


@pytest.fixture
def model(tmp_path):
    """Write a model that predicts the sign of the first feature."""

    def write(loss="logistic", classes=(3.0, 7.0), **meta):
        path = tmp_path / "model.npz"
        Model(np.array([1.0, 0.0]), 0.0, loss, None if classes is None else np.array(classes), meta).save(path)
        return str(path)

    return write


@pytest.fixture
def data(tmp_path):
    """Write rows and their labels."""

    def write(y=None, rows=X):
        np.savez(tmp_path / "data.npz", **({"X": rows} if y is None else {"X": rows, "y": np.array(y, dtype=float)}))
        return str(tmp_path / "data.npz")

    return write


def test_predictions_are_printed_one_a_line_and_the_accuracy_beside_them(model, data, capsys):
    assert main(["predict", model(), data([7, 3, 3, 3, 7])]) == 0
    told = capsys.readouterr()
    assert told.out == "7\n3\n7\n3\n7\n"
    assert told.err == "accuracy 0.800000 (4 of 5 rows)\n"


def test_predictions_in_a_file_leave_standard_output_to_the_accuracy(model, data, capsys, tmp_path):
    out = tmp_path / "predicted"
    out.write_text("old")
    assert main(["predict", model(), data([7, 3, 3, 3, 7]), "-o", str(out)]) == 0
    assert out.read_text() == "7\n3\n7\n3\n7\n"
    assert capsys.readouterr() == (f"5 predictions in {out}\naccuracy 0.800000 (4 of 5 rows)\n", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "model.npz", "predicted"]


def test_printed_values_are_exact(model, data, capsys):
    rows = np.random.default_rng(0).standard_normal((50, 2))
    assert main(["predict", model("squared", None), data(rows=rows)]) == 0
    np.testing.assert_array_equal([float(line) for line in capsys.readouterr().out.split()], rows[:, 0])


def test_a_reader_who_leaves_early_is_no_error(model, data):
    command = [sys.executable, "-m", "hpcopt", "predict", model("squared", None), data(rows=np.ones((100_000, 2)))]
    checkout = Path(hpcopt.__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=checkout) as started:
        assert started.stdout.readline() == "1\n"
        started.stdout.close()
        assert started.stderr.read() == ""
    assert started.returncode == 0


def test_labels_of_two_groups_are_mapped_as_in_training(model, data, capsys):
    y = [7, 0, 3, 7, 5]
    assert main(["predict", model(classes=(-1.0, 1.0), **GROUPS), data(y)]) == 0
    told = capsys.readouterr()
    np.testing.assert_array_equal([int(line) for line in told.out.split()], SIDES)
    assert told.err == (
        "accuracy 0.750000 (3 of 4 rows), 1 row of other classes left out; +1 stands for classes 3, 7, -1 for class 0\n"
    )


def test_data_with_neither_group_are_predicted_without_an_accuracy(model, data, capsys):
    assert main(["predict", model(classes=(-1.0, 1.0), **GROUPS), data([1, -1, 1, -1, 1])]) == 0
    told = capsys.readouterr()
    assert len(told.out.split()) == len(X)
    assert told.err.startswith("no accuracy, 5 rows of other classes left out; +1 stands for")


def test_labels_that_are_no_classes_of_the_model_give_predictions_without_an_accuracy(model, data, capsys):
    assert main(["predict", model(), data([7, 3, 1, 3, 0])]) == 0
    told = capsys.readouterr()
    assert len(told.out.split()) == len(X)
    assert told.err == "no accuracy: data.npz: row 2 (counted from 0) has the label 1; the model has 3, 7\n"


@pytest.mark.parametrize(
    ("y", "said"),
    [
        ([2, -1, 0.5, -3, 2], "mean squared error 0.2, R^2 0.945055 (5 rows)\n"),
        ([4, 4, 4, 4, 4], "mean squared error 19.85 (5 rows)\n"),
        ([1], "mean squared error 1 (1 row)\n"),
    ],
)
def test_the_error_is_told_with_r2_where_there_is_something_to_explain(model, data, capsys, y, said):
    assert main(["predict", model("squared", None), data(y, X[: len(y)])]) == 0
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("text", ["7 0:2\n3 0:-1 1:1\n", "7 1:2\n3 1:-1 2:1\n"])
def test_a_model_of_arrays_takes_text_that_counts_from_zero_or_one(model, tmp_path, capsys, text):
    (tmp_path / "text.txt").write_text(text)
    assert main(["predict", model(zero_based=None), str(tmp_path / "text.txt")]) == 0
    assert capsys.readouterr().out == "7\n3\n"


READINGS = {  # an option, the number of correct rows of 4, and whether a line notes the other interpretation
    "": (2, True),
    "--zero-based": (4, False),
    "--one-based": (2, False),
}


@pytest.mark.parametrize("option", READINGS)
def test_text_that_fits_a_model_of_arrays_either_way_is_noted_and_read_as_asked(tmp_path, capsys, option):
    right, noted = READINGS[option]
    model, text, out = (str(tmp_path / name) for name in ("m.npz", "text.svm", "out"))
    Model(np.array([0.0, 1.0, 0.0]), 0.0, "logistic", np.array([-1.0, 1.0]), {"zero_based": None}).save(model)
    Path(text).write_text("+1 1:1 2:2\n-1 1:-1 2:2\n+1 1:2 2:-2\n-1 1:-2 2:-1\n")
    assert main(["predict", *option.split(), model, text, "-o", out]) == 0
    told = capsys.readouterr()
    assert f"({right} of 4 rows)" in told.out
    note = (
        "hpcopt: note: text.svm: columns count from 1, as none is 0; counted from 0 they would fit the 3 features as "
        "well (--zero-based if they do, else --one-based)\n"
    )
    assert told.err == (note if noted else "")


OUTPUTS = {
    "folder": ("", "is a folder; give the name of a file"),
    "no folder": ("none/out.png", "there is no folder {parent}"),
    "file for a folder": ("model.npz/out.png", "there is no folder {parent}"),
    "device": ("/dev/null", "not a regular file; give another name"),
    "closed": ("/proc/out.png", "the folder /proc cannot be written to"),
}


@pytest.mark.parametrize("case", OUTPUTS)
@pytest.mark.parametrize("verb", ["predict", "plot"])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(verb, case, model, tmp_path, capsys):
    model()
    name, message = OUTPUTS[case]
    path = tmp_path / name
    if case == "closed" and not path.parent.is_dir():
        pytest.skip("no folder here that cannot be written to from anyone")
    if (verb, case) == ("plot", "device"):
        message = "a picture's suffix is one of "
    given = ["nowhere.npz", "nowhere"] if verb == "predict" else ["nowhere"]
    assert main([verb, *given, "-o", str(path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"hpcopt: error: {path}: {message.format(parent=path.parent)}")
    assert told.count("\n") == 1


@pytest.mark.parametrize(("name", "got"), [("out.xyz", "got '.xyz'"), ("out", "got no suffix")])
def test_a_picture_of_an_unknown_format_is_refused_before_anything_is_read(tmp_path, capsys, name, got):
    assert main(["plot", "nowhere", "-o", str(tmp_path / name)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"hpcopt: error: {tmp_path / name}: a picture's suffix is one of ")
    assert got in told
    assert ", png, " in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("loss", "said"), [("logistic", "accuracy 1.000000 (180 of 180 rows)"), ("squared", "mean sq")]
)
def test_a_run_on_chosen_classes_leaves_a_model_that_predicts(tmp_path, capsys, loss, said):
    rng = np.random.default_rng(0)
    y = np.repeat([0.0, 3.0, 7.0, 9.0], 60)
    rows = 0.1 * rng.standard_normal((240, 2)) + np.array([[-2, 1], [2, 0], [3, 2], [0, 0]])[np.repeat(range(4), 60)]
    np.savez(tmp_path / "data.npz", X=rows, y=y)
    (tmp_path / "spec.toml").write_text(
        f'[data]\npath = "{tmp_path}/data.npz"\nclasses = {{positive = [7, 3], negative = [0]}}\n'
        f'[problem]\nloss = "{loss}"\n[stop]\nrounds = 5\n[solver]\nname = "giant"\n'
    )
    out = tmp_path / "out"
    assert main(["run", str(tmp_path / "spec.toml"), "--virtual", "2", "--quiet", "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["predict", str(out / "model.npz"), str(tmp_path / "data.npz")]) == 0
    told = capsys.readouterr().err
    assert told.startswith(said)
    if loss == "logistic":
        assert told.endswith(", 60 rows of other classes left out; +1 stands for classes 3, 7, -1 for class 0\n")
