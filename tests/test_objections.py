"""Objections to a solver in a setting: the key, the message, and whether the user may override."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import hpcopt
from hpcopt.compression import COMPRESSORS
from hpcopt.errors import InputError, Remedy
from hpcopt.fabric.heterogeneity import Departure, Heterogeneity
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models import MODELS
from hpcopt.problems.penalties import Penalty
from hpcopt.problems.penalties.l1 import L1
from hpcopt.problems.penalties.l2 import L2
from hpcopt.problems.penalties.none import NoPenalty
from hpcopt.solvers import SOLVERS, Solver, State
from hpcopt.solvers.base import register
from hpcopt.solvers.needs import Condition, Needs, Objection, Setting
from hpcopt.solvers.objections import objections
from hpcopt.studies.compare import compare
from hpcopt.topology import TOPOLOGIES, build

TOP = COMPRESSORS["top-k"](k=1)
WIDE = COMPRESSORS["qsgd"](levels=1, scaled=False)  # unbiased, and its error may be larger than the vector
LEVELS = COMPRESSORS["qsgd"](levels=16)
TERNARY = COMPRESSORS["ternary"]()
NINE = COMPRESSORS["top-k"](k=9)


def graph(name: str, nodes: int = 8, **parameters):
    return build(TOPOLOGIES[name](**parameters), nodes, 0)


def problem(loss: str, model: str = "linear", penalty: Penalty | None = None):
    return Formulation(MODELS[model](), LOSSES[loss](), penalty or NoPenalty())


MLP = problem("softmax", "mlp")
WITH_INTERCEPT = Formulation(MODELS["linear"](intercept=True), LOSSES["huber"](), L2(weight=0.1))
LASSO = problem("squared", penalty=L1(weight=0.1))
RING, ONE_PEER = graph("ring"), graph("one-peer-exponential")
STAR = graph("star", weights="uniform")
DIRECTED = graph("exponential", directed=True)
LEAVING = Heterogeneity(departures=(Departure(1, 5.0),))

REFUSED = [  # solver, its parameters, the setting, the key, a part of the text
    ("newton-cg", {}, {"problem": problem("softmax")}, "solver.name", "newton-cg requires second derivatives"),
    (
        "async-local-newton",
        {},
        {"problem": MLP},
        "solver.name",
        'model "mlp" does not provide; choose one of ad-psgd',
    ),
    ("newton-cg", {}, {"problem": LASSO}, "solver.name", 'requires a smooth penalty, which "l1" is not; choose one of'),
    ("sgd", {}, {"problem": MLP}, "solver.step_size", '"auto" requires a smoothness constant'),
    ("giant", {}, {"problem": problem("hinge")}, "solver.name", 'second derivatives, which loss "hinge" does not'),
    ("sgd", {}, {"problem": problem("hinge")}, "solver.step_size", 'smoothness constant, which loss "hinge" does not'),
    (
        "dgd",
        {"step_size": "1/L"},
        {"problem": MLP},
        "solver.step_size",
        '"1/L" requires a smoothness',
    ),
    ("giant", {}, {"heterogeneity": LEAVING}, "cluster.stragglers.departures", "giant is synchronous"),
    ("sgd", {}, {"heterogeneity": LEAVING}, "cluster.stragglers.departures", "sgd is synchronous"),
    (
        "sgp",
        {},
        {"heterogeneity": LEAVING, "virtual": False},
        "cluster.stragglers.departures",
        "goes on without nodes that leave on virtual nodes only",
    ),
    ("choco-gossip", {}, {"fitting": True}, "solver.name", "does not minimise"),
    ("sgd", {"compressor": NINE}, {"d": 8}, "solver.compressor", "compressor: k: expected at most 8"),
    ("dgd", {"compressor": NINE}, {"d": 8}, "solver.compressor", "compressor: k: expected at most 8"),
    (
        "local-newton",
        {"mixing": "preconditioned"},
        {"d": 50_000},
        "solver.mixing",
        "at most 10,000 features, got 50,000",
    ),
    ("local-newton", {"regulariser": "debiased"}, {"d": 50_000}, "solver.regulariser", '"debiased" forms d x d'),
]
BEYOND_THEORY = [
    ("giant", {}, {"problem": problem("huber")}, "problem.loss", "a Hessian that is not singular"),
    ("newton-cg", {}, {"problem": WITH_INTERCEPT}, "problem.loss", "use lbfgs, or l2 > 0 and no intercept"),
    ("sgd", {"compressor": TOP}, {"d": 6}, "solver.compressor", 'or error_feedback = "ef" or "ef21"; top-k with these'),
    ("prox-sgd", {"compressor": TOP}, {"d": 6}, "solver.compressor", 'or error_feedback = "ef"; top-k with these'),
    (
        "sgd",
        {"compressor": TERNARY, "error_feedback": "ef"},
        {"d": 600},
        "solver.compressor",
        "contractive compressor",
    ),
    ("deli-coco", {"compressor": WIDE}, {"d": 100}, "solver.compressor", "requires a contractive compressor"),
    ("dgd", {"compressor": LEVELS}, {"d": 100}, "solver.compressor", "sends the models themselves"),
    ("dcd-psgd", {"compressor": TOP}, {"d": 100}, "solver.compressor", "requires an unbiased compressor"),
    ("dcd-psgd", {"compressor": WIDE}, {"d": 100, "topology": RING}, "solver.compressor", "relative error below"),
    ("choco-sgd", {}, {"topology": ONE_PEER}, "cluster.topology", "requires a fixed topology"),
    ("extra", {}, {"topology": ONE_PEER}, "cluster.topology", "requires a fixed topology"),
    (
        "deli-coco",
        {},
        {"topology": STAR},
        "cluster.topology",
        "requires symmetric weights; those of star (uniform) are not",
    ),
    ("extra", {}, {"topology": DIRECTED}, "cluster.topology", "requires symmetric weights"),
    ("dgd", {}, {"topology": STAR}, "cluster.topology", "columns sum to one; those of star (uniform) do not"),
    ("dsgd-aau", {}, {"topology": STAR}, "cluster.topology", "columns sum to one"),
    ("ad-psgd", {}, {"topology": ONE_PEER}, "cluster.topology", "requires an undirected topology"),
    ("async-local-newton", {}, {"topology": DIRECTED}, "cluster.topology", "requires an undirected topology"),
    ("agp", {"ahead": 2}, {"topology": ONE_PEER}, "solver.ahead", "one-peer-exponential changes the neighbours"),
]
SUITED = [
    ("lbfgs", {}, {"problem": problem("softmax"), "fitting": True}),
    ("newton-cg", {}, {"problem": problem("relu")}),
    ("giant", {}, {"problem": problem("squared-hinge")}),
    ("one-shot", {}, {"problem": problem("huber", penalty=L2(weight=0.1))}),
    ("lbfgs", {}, {"problem": problem("huber"), "fitting": True}),
    ("sgd", {"step_size": 0.1}, {"problem": problem("hinge")}),
    ("lbfgs", {}, {"problem": problem("hinge"), "fitting": True}),
    ("sgd", {"step_size": 0.1}, {"problem": MLP}),
    ("dsgd-aau", {}, {"heterogeneity": LEAVING, "topology": RING, "d": 3}),
    ("local-newton", {}, {"d": 50_000}),
    ("local-newton", {"mixing": "preconditioned"}, {"d": 100}),
    ("sgd", {"compressor": TERNARY}, {"d": 6}),
    ("sgd", {"compressor": TOP, "error_feedback": "ef21"}, {"d": 6}),
    ("dgd", {}, {"topology": DIRECTED, "d": 5}),
    ("sgp", {}, {"topology": STAR, "d": 3}),
    ("agp", {}, {"topology": ONE_PEER, "d": 3}),
    ("prague", {}, {"topology": ONE_PEER, "d": 3}),
    ("sgd", {}, {"topology": STAR, "d": 3}),  # in a comparison with solvers that use it
]


@pytest.mark.parametrize(("name", "parameters", "setting", "key", "text"), REFUSED)
def test_what_cannot_run_is_refused_whoever_insists(name, parameters, setting, key, text):
    first, *_ = objections(SOLVERS[name](**parameters), Setting(**setting))
    assert (first.key, first.can_be_forced) == (key, False)
    assert text in first.text


@pytest.mark.parametrize(("name", "parameters", "setting", "key", "text"), BEYOND_THEORY)
def test_what_a_theory_does_not_cover_is_told_and_can_be_forced(name, parameters, setting, key, text):
    first, *_ = objections(SOLVERS[name](**parameters), Setting(**setting))
    assert (first.key, first.can_be_forced) == (key, True)
    assert text in first.text


@pytest.mark.parametrize(("name", "parameters", "setting"), SUITED)
def test_what_suits_meets_no_objection(name, parameters, setting):
    assert objections(SOLVERS[name](**parameters), Setting(**setting)) == []


def test_needs_are_told_in_words():
    wants = Needs(
        models="own",
        topology="graph",
        weights="doubly-stochastic",
        fixed_graph=True,
        two_way=True,
        compressor="exact",
        hessian=True,
        also=(Condition("few coordinates", lambda solver, setting: None),),  # noqa: ARG005
    )
    assert wants.words() == (
        "second derivatives; fixed undirected topology with doubly stochastic weights; "
        "exact compressor; few coordinates"
    )
    assert Needs().words() == ""
    assert Needs(topology="graph").words() == "topology"


@pytest.mark.parametrize("name", list(SOLVERS))
def test_by_default_a_solver_meets_its_own_needs_and_of_what_is_unknown_nothing_is_said(name):
    usual = Setting(problem=problem("logistic"), d=10, topology=RING, heterogeneity=Heterogeneity())
    assert objections(SOLVERS[name](), usual) == []
    assert objections(SOLVERS[name](), Setting()) == []


def test_a_solver_that_declares_it_takes_penalties_that_are_not_smooth():
    class Proximal(SOLVERS["sgd"]):
        needs = Needs(composite=True)

    assert objections(Proximal(), Setting(problem=LASSO)) == []


def test_theory_is_not_asked_of_what_cannot_run():
    told = objections(SOLVERS["dgd"](compressor=NINE), Setting(problem=MLP, d=8, topology=STAR))
    assert [objection.key for objection in told] == ["solver.step_size", "solver.compressor"]
    assert not any(objection.can_be_forced for objection in told)


def test_of_a_solvers_own_conditions_what_nobody_can_insist_on_comes_first():
    def says(key, can_be_forced):
        return Condition(key, lambda solver, setting: Objection(key, "no", can_be_forced))  # noqa: ARG005

    class Picky(SOLVERS["sgd"]):
        needs = Needs(also=(says("first", True), says("second", False)))

    assert [objection.key for objection in objections(Picky(), Setting())] == ["second", "first"]


@pytest.fixture
def few_coordinates(request):
    """A solver with a unique need, registered for a test; the parameter: whether the user may override."""

    def crowded(solver, setting: Setting) -> Objection | None:
        if setting.d is None or setting.d <= solver.most:
            return None
        return Objection("solver.most", f"knows {solver.most} coordinates at most, not {setting.d}", request.param)

    @register("few-coordinates")
    @dataclass(frozen=True, kw_only=True)
    class FewCoordinates(Solver[State]):
        """Stands still."""

        needs = Needs(also=(Condition("few coordinates", crowded),))
        paper = "none"
        most: int = 3

        def init(self, node, f, w0) -> State:  # noqa: ARG002
            return State(w=w0.copy())

        def rounds(self, node, f, s) -> Iterator[State]:  # noqa: ARG002
            yield s

        def doubles(self, s, d) -> int:  # noqa: ARG002
            return 0

    yield FewCoordinates
    del SOLVERS._entries["few-coordinates"]


def specification(**solver):
    return {
        "data": {"source": "logistic", "rows": 40, "features": 5},
        "solver": {"name": "few-coordinates", **solver},
        "cluster": {"kind": "virtual", "workers": 2},
    }


@pytest.mark.parametrize(
    ("few_coordinates", "remedy"), [(True, Remedy.FORCE), (False, None)], indirect=["few_coordinates"]
)
def test_a_solver_with_a_need_of_its_own_is_refused_by_a_run(few_coordinates, remedy):
    with pytest.raises(InputError, match="few-coordinates: knows 3 coordinates at most, not 5") as caught:
        hpcopt.run(specification())
    assert caught.value.remedy is remedy
    assert hpcopt.run(specification(most=5)).model is not None


@pytest.mark.parametrize("few_coordinates", [True], indirect=True)
def test_who_insists_runs_it_beyond_its_theory(few_coordinates):
    assert hpcopt.run(specification(), force=True).model is not None


@pytest.mark.parametrize("few_coordinates", [False], indirect=True)
def test_nobody_can_insist_on_what_cannot_run(few_coordinates):
    with pytest.raises(InputError, match="knows 3 coordinates at most"):
        hpcopt.run(specification(), force=True)


def test_what_the_topology_does_not_suit_is_told_before_the_data_are_read(tmp_path):
    tables = {
        "data": {"path": str(tmp_path / "nowhere.txt")},
        "solver": {"name": "choco-sgd"},
        "cluster": {"kind": "virtual", "workers": 4, "topology": {"name": "star", "weights": "uniform"}},
    }
    with pytest.raises(InputError, match="choco-sgd: requires symmetric weights"):
        hpcopt.run(tables)
    with pytest.raises(InputError, match=r"nowhere\.txt"):
        hpcopt.run(tables, force=True)


def test_a_comparison_names_the_solver_that_is_refused():
    tables = {
        "data": {"source": "logistic", "rows": 40, "features": 5},
        "solvers": [{"name": "sgd"}, {"name": "dgd", "compressor": "top-k", "label": "squeezed"}],
        "cluster": {"kind": "virtual", "workers": 2},
    }
    with pytest.raises(InputError, match=r"squeezed: sends the models themselves.*force=True"):
        compare(tables)
