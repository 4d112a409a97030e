"""Mixing matrices: properties of the rules, spectra against closed forms and dense eigenvalues, a node's row."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hpcopt.errors import InputError
from hpcopt.topology import TOPOLOGIES, Mixing, build, spectrum
from hpcopt.topology.connected import diameter

UNDIRECTED = [name for name in TOPOLOGIES if name not in {"file", "one-peer-exponential"}]
RULES = ("metropolis", "max-degree", "laplacian")
ROUNDING = 1e-12


def mixing_of(name, n, rule="auto", seed=0, **parameters):
    return build(TOPOLOGIES[name](weights=rule, **parameters), n, seed)


def dense(mixing):
    return mixing.matrices[0].toarray()


@st.composite
def sizes(draw, name):
    """A number of nodes that the topology takes with its defaults."""
    if name == "hypercube":
        return 2 ** draw(st.integers(1, 6))
    if name in {"grid", "torus"}:
        return draw(st.integers(3, 7)) * draw(st.integers(3, 7))
    return 2 * draw(st.integers(3, 24))


@st.composite
def networks(draw, rules):
    name = draw(st.sampled_from(UNDIRECTED))
    return mixing_of(name, draw(sizes(name)), draw(st.sampled_from(rules)), draw(st.integers(0, 99)))


@given(networks(RULES))
@settings(max_examples=150, deadline=None)
def test_undirected_rules_are_symmetric_doubly_stochastic_and_bring_agreement(mixing):
    W = dense(mixing)
    assert np.array_equal(W, W.T)
    assert np.abs(W.sum(axis=0) - 1.0).max() <= ROUNDING
    assert mixing.symmetric
    assert mixing.doubly_stochastic
    assert 0.0 <= mixing.second_eigenvalue < 1.0


@given(networks(("metropolis", "max-degree", "uniform")))
@settings(max_examples=60, deadline=None)
def test_weights_are_positive_and_rows_sum_to_one(mixing):
    W = dense(mixing)
    assert (mixing.matrices[0].data > 0.0).all()
    assert np.abs(W.sum(axis=1) - 1.0).max() <= ROUNDING
    assert mixing.doubly_stochastic == (np.abs(W.sum(axis=0) - 1.0).max() <= ROUNDING)


@given(networks((*RULES, "uniform")))
@settings(max_examples=60, deadline=None)
def test_the_second_eigenvalue_is_the_next_largest_modulus(mixing):
    moduli = np.sort(np.abs(np.linalg.eigvals(dense(mixing))))
    assert mixing.second_eigenvalue == pytest.approx(moduli[-2], abs=1e-10)


@given(networks(RULES), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_step_shrinks_disagreement_by_the_second_eigenvalue_at_least(mixing, seed):
    x = np.random.default_rng(seed).standard_normal(mixing.n)
    mixed = dense(mixing) @ x
    assert np.linalg.norm(mixed - x.mean()) <= mixing.second_eigenvalue * np.linalg.norm(x - x.mean()) + ROUNDING


@given(networks(RULES))
@settings(max_examples=40, deadline=None)
def test_beta_is_the_norm_of_what_a_step_changes(mixing):
    assert mixing.beta == pytest.approx(np.linalg.norm(np.eye(mixing.n) - dense(mixing), 2), abs=1e-10)


@given(networks(("laplacian",)), st.floats(0.2, 3.0))
@settings(max_examples=40, deadline=None)
def test_no_other_constant_mixes_faster_than_the_best(mixing, factor):
    W = dense(mixing)
    other = np.eye(mixing.n) - factor * (np.eye(mixing.n) - W)
    deflated = other - np.full_like(other, 1.0 / mixing.n)
    assert np.linalg.norm(deflated, 2) >= mixing.second_eigenvalue - 1e-10


@pytest.mark.parametrize(("n", "printed"), [(9, 0.8440), (16, 0.9493), (25, 0.9791)])
def test_the_ring_has_its_closed_form(n, printed):
    second = mixing_of("ring", n).second_eigenvalue
    assert second == pytest.approx((1.0 + 2.0 * np.cos(2.0 * np.pi / n)) / 3.0, abs=1e-13)
    assert round(second, 4) == printed


@pytest.mark.parametrize(("k", "printed"), [(3, 0.4), (4, 0.6), (5, 0.7236)])
def test_the_square_torus_has_its_closed_form(k, printed):
    second = mixing_of("torus", k * k).second_eigenvalue
    assert second == pytest.approx((3.0 + 2.0 * np.cos(2.0 * np.pi / k)) / 5.0, abs=1e-13)
    assert round(second, 4) == printed


@pytest.mark.parametrize("rule", [*RULES, "uniform", "authors"])
def test_all_with_all_agree_in_one_step_by_every_rule(rule):
    mixing = mixing_of("complete", 12, rule)
    assert dense(mixing) == pytest.approx(np.full((12, 12), 1.0 / 12.0), abs=1e-15)
    assert (mixing.second_eigenvalue, mixing.gap) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("name", "n", "weight"), [("ring", 2, 1 / 2), ("ring", 9, 1 / 3), ("torus", 9, 1 / 5), ("complete", 9, 1 / 9)]
)
def test_the_authors_weights_are_equal_parts(name, n, weight):
    W = dense(mixing_of(name, n, "authors"))
    assert np.unique(W[W > 0.0].round(15)) == pytest.approx(weight)


def test_metropolis_weighs_an_edge_by_its_busier_end():
    W = dense(mixing_of("star", 5))
    assert W[0].tolist() == pytest.approx([0.2] * 5)
    assert np.diag(W)[1:] == pytest.approx(0.8)


def test_uniform_weights_keep_the_mean_only_where_degrees_are_equal():
    assert mixing_of("ring", 8, "uniform").doubly_stochastic
    star = mixing_of("star", 8, "uniform")
    assert not star.doubly_stochastic
    assert not star.symmetric
    assert dense(star)[0].tolist() == pytest.approx([1 / 8] * 8)


def test_a_directed_exponential_graph_is_doubly_stochastic_but_not_symmetric():
    mixing = mixing_of("exponential", 12, directed=True)
    assert (mixing.rule, mixing.doubly_stochastic, mixing.symmetric) == ("uniform", True, False)
    with pytest.raises(ValueError, match="symmetric matrices"):
        mixing.beta  # noqa: B018


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("ring", {"weights": "metropolos"}, "for ring, got \"metropolos\"; did you mean 'metropolis'?"),
        ("star", {"weights": "authors"}, 'weights: expected one of "auto", '),
        ("ring", {"weights": "file"}, 'weights: expected one of "auto", '),
        ("exponential", {"weights": "metropolis", "directed": True}, 'weights: expected "uniform" on a directed graph'),
        ("one-peer-exponential", {"weights": "metropolis"}, 'weights: expected one of "auto", "uniform" for one-peer'),
    ],
)
def test_a_rule_that_does_not_suit_is_refused(name, parameters, said):
    with pytest.raises(InputError) as caught:
        TOPOLOGIES[name](**parameters)
    assert said in str(caught.value)


@pytest.mark.parametrize("rule", [*RULES, "uniform"])
@pytest.mark.parametrize("name", UNDIRECTED)
def test_beyond_500_nodes_iterations_find_what_dense_algebra_finds(name, rule):
    n = 512 if name == "hypercube" else 600
    mixing = mixing_of(name, n, rule)
    if mixing.symmetric:
        values = np.linalg.eigvalsh(dense(mixing))
        assert mixing.smallest_eigenvalue == pytest.approx(values[0], abs=1e-12)
    else:
        values = np.linalg.eigvals(dense(mixing))
    assert mixing.second_eigenvalue == pytest.approx(np.sort(np.abs(values))[-2], abs=1e-12)


@pytest.mark.parametrize("n", [512, 600])
def test_beyond_500_nodes_a_sequence_has_the_spectrum_of_its_product(n):
    mixing = mixing_of("one-peer-exponential", n)
    product = np.eye(n)
    for matrix in mixing.matrices:
        product = matrix @ product
    radius = np.abs(np.linalg.eigvals(product - 1.0 / n)).max()
    assert mixing.second_eigenvalue**mixing.period == pytest.approx(radius, abs=1e-12)


def test_thousands_of_nodes_on_a_ring_keep_all_digits_of_their_tiny_gap():
    n = 4_000
    mixing = mixing_of("ring", n)
    assert mixing.gap == pytest.approx((2.0 - 2.0 * np.cos(2.0 * np.pi / n)) / 3.0, rel=1e-6)
    assert mixing.smallest_eigenvalue == pytest.approx(-1.0 / 3.0, abs=1e-12)


def test_thousands_of_nodes_on_a_torus_have_their_closed_form():
    mixing = mixing_of("torus", 4_000)
    assert mixing.name == "torus 50 x 80"
    assert mixing.second_eigenvalue == pytest.approx((3.0 + 2.0 * np.cos(2.0 * np.pi / 80)) / 5.0, abs=1e-12)


def test_an_iteration_without_end_says_so(monkeypatch):
    monkeypatch.setattr(spectrum, "_MOST_STEPS", 0)
    with pytest.raises(ArithmeticError, match="Lanczos"):
        mixing_of("ring", 600).second_eigenvalue  # noqa: B018


@given(networks((*RULES, "uniform")), st.data())
@settings(max_examples=40, deadline=None)
def test_a_row_is_what_the_node_receives_and_who_receives_from_it(mixing, data):
    node = data.draw(st.integers(0, mixing.n - 1))
    W, row = dense(mixing), mixing.row(node)
    others = [j for j in range(mixing.n) if j != node]
    assert row.sources == tuple(j for j in others if W[node, j] != 0.0)
    assert row.weights == tuple(W[node, j] for j in row.sources)
    assert row.own == W[node, node]
    assert row.targets == tuple(j for j in others if W[j, node] != 0.0)


def test_rows_of_a_sequence_come_by_turns():
    mixing = mixing_of("one-peer-exponential", 8)
    assert [mixing.row(1, step).sources for step in range(4)] == [(0,), (7,), (5,), (0,)]
    assert [mixing.row(1, step).targets for step in range(4)] == [(2,), (3,), (5,), (2,)]
    assert (mixing.row(1).weights, mixing.row(1).own) == ((0.5,), 0.5)


def test_a_node_may_keep_nothing_of_its_own():
    mixing = Mixing("swap", "file", (csr_array(np.array([[0.0, 1.0], [1.0, 0.0]])),))
    assert (mixing.row(0).own, mixing.row(0).sources) == (0.0, (1,))
    assert mixing.second_eigenvalue == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["ring", "one-peer-exponential"])
def test_what_process_0_builds_arrives_whole(name):
    built = mixing_of(name, 16)
    arrived = pickle.loads(pickle.dumps(built))
    assert arrived.words() == built.words()
    assert [arrived.row(3, step) for step in range(5)] == [built.row(3, step) for step in range(5)]


def test_a_mixing_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        mixing_of("ring", 4).name = "path"


@pytest.mark.parametrize(
    ("name", "n", "parameters", "words"),
    [
        (
            "ring",
            16,
            {},
            "ring, 16 nodes, 16 edges, degree 2, Metropolis weights: second eigenvalue 0.9493, spectral gap 0.0507",
        ),
        (
            "star",
            2_000,
            {"rule": "uniform"},
            (
                "star, 2,000 nodes, 1,999 edges, degree 1 to 1999, uniform weights: second eigenvalue 0.5000, "
                "spectral gap 0.5000"
            ),
        ),
        (
            "one-peer-exponential",
            8,
            {},
            (
                "one-peer-exponential, 8 nodes, 24 directed edges in a cycle of 3 steps, degree 1, uniform weights: "
                "second eigenvalue 0, spectral gap 1"
            ),
        ),
        (
            "path",
            1_000,
            {"rule": "laplacian"},
            (
                "path, 1,000 nodes, 999 edges, degree 1 to 2, best constant weights: second eigenvalue 0.9999950652, "
                "spectral gap 4.935e-06"
            ),
        ),
        ("torus", 1, {}, "torus, 1 node: no neighbours"),
    ],
)
def test_one_line_describes_a_topology(name, n, parameters, words):
    assert mixing_of(name, n, **parameters).words() == words


@given(networks(("metropolis",)))
@settings(max_examples=30, deadline=None)
def test_the_diameter_is_the_power_at_which_all_have_heard_of_all(mixing):
    reach, steps = np.eye(mixing.n, dtype=bool), 0
    while not reach.all():
        reach, steps = (reach.astype(int) @ (dense(mixing) > 0.0)) > 0, steps + 1
    assert diameter(mixing.union) == steps
