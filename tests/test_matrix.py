"""Matrix operators against numpy: dense and sparse, both storages, odd shapes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

import hpcopt
from hpcopt.errors import InputError
from hpcopt.kernels.pointwise import HUBER, LOGISTIC, RELU, SQUARED
from hpcopt.problems.csr_matrix import CsrMatrix
from hpcopt.problems.dense_matrix import DenseMatrix, aligned_empty
from hpcopt.problems.storage import as_matrix, warm

SHAPES = [
    (0, 3), (1, 1), (1, 2), (3, 1), (7, 2), (7, 3), (3, 5), (8, 8), (513, 1), (513, 3),
    (513, 31), (7, 31), (33, 300), (1, 300), (520, 300), (7, 2100), (17, 2100), (0, 300),
]  # fmt: skip
SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
FORM = pytest.mark.parametrize("form", ["dense", "sparse"])
STORAGE = pytest.mark.parametrize("storage", ["f64", "f32"])
NARROW = (HUBER[0], 0.3)
KIND = pytest.mark.parametrize("kind", [LOGISTIC, SQUARED, RELU, NARROW], ids=["logistic", "squared", "relu", "huber"])
CLOSE = {"rtol": 1e-11, "atol": 1e-11}  # sums of up to 2100 products of numbers of size one


def entries(n, d, seed=0):
    """Return a matrix with rows of all densities, empty and full ones among them, exact in float32."""
    rng = np.random.default_rng(seed + 1000 * n + d)
    X = rng.standard_normal((n, d)).astype(np.float32).astype(np.float64)
    X[rng.random((n, d)) < rng.choice([0.0, 0.5, 1.0], size=(n, 1), p=[0.3, 0.5, 0.2])] = 0.0
    return X


def operator(X, form="dense", storage="f64"):
    return as_matrix(scipy.sparse.csr_array(X) if form == "sparse" else X, storage)


def vectors(n, d, seed=1):
    """Return targets of two classes, weights at least 0, a model, a direction."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    return y, rng.random(n), rng.standard_normal(d) / np.sqrt(d), rng.standard_normal(d)


def twin(kind, z, y):
    """Return losses, first and second derivatives by numpy."""
    if kind == SQUARED:
        return 0.5 * (z - y) ** 2, z - y, np.ones_like(z)
    if kind == RELU:
        r = np.maximum(z, 0.0) - y
        return 0.5 * r**2, r * (z > 0), (z > 0).astype(float)
    if kind == NARROW:
        c = np.clip(z - y, -kind[1], kind[1])
        return scipy.special.huber(kind[1], z - y), c, (c == z - y).astype(float)
    p = scipy.special.expit(-y * z)
    return np.logaddexp(0.0, -y * z), -y * p, p * (1.0 - p)


@SHAPE
@FORM
@STORAGE
@KIND
def test_loss_gradient_margins_and_curvature_come_from_one_call(shape, form, storage, kind):
    X = entries(*shape)
    y, _, w, _ = vectors(*shape)
    loss, slope, bend = twin(kind, X @ w, y)
    total, gradient, margins, curvature = operator(X, form, storage).loss_gradient(kind, y, w)
    assert total == pytest.approx(loss.sum(), rel=1e-12)
    np.testing.assert_allclose(gradient, X.T @ slope, **CLOSE)
    np.testing.assert_allclose(margins, X @ w, **CLOSE)
    np.testing.assert_allclose(curvature, bend, **CLOSE)


@SHAPE
@FORM
@STORAGE
def test_products_are_numpys(shape, form, storage):
    X = entries(*shape)
    _, s, _, v = vectors(*shape)
    matrix = operator(X, form, storage)
    np.testing.assert_allclose(matrix.margins(v), X @ v, **CLOSE)
    np.testing.assert_allclose(matrix.hessian_product(s - 0.5, v), X.T @ ((s - 0.5) * (X @ v)), **CLOSE)
    assert matrix.largest_row() == pytest.approx((X**2).sum(axis=1).max(initial=0.0), rel=1e-12)


@pytest.mark.parametrize("shape", [s for s in SHAPES if s[1] <= 300], ids=lambda shape: f"{shape[0]}x{shape[1]}")
@FORM
@STORAGE
def test_the_gram_matrix_is_numpys_and_symmetric(shape, form, storage):
    X = entries(*shape)
    _, s, _, _ = vectors(*shape)
    gram = operator(X, form, storage).gram(s)
    np.testing.assert_allclose(gram, X.T @ (s[:, None] * X), **CLOSE)
    np.testing.assert_array_equal(gram, gram.T)
    assert gram.flags.f_contiguous
    assert gram.dtype == np.float64


@SHAPE
@FORM
@STORAGE
@KIND
@pytest.mark.parametrize("count", [0, 1, 5, 600])
def test_the_gradient_of_rows_counts_a_repeated_row_as_often(shape, form, storage, kind, count):
    X = entries(*shape)
    y, _, w, _ = vectors(*shape)
    rows = np.random.default_rng(2).integers(0, max(1, shape[0]), count if shape[0] else 0)
    loss, slope, _ = twin(kind, X[rows] @ w, y[rows])
    total, gradient = operator(X, form, storage).gradient_of_rows(kind, y, w, rows)
    assert total == pytest.approx(loss.sum(), rel=1e-12)
    np.testing.assert_allclose(gradient, X[rows].T @ slope, **CLOSE)


@SHAPE
@FORM
@STORAGE
def test_restricted_rows_have_their_own_columns_only(shape, form, storage):
    X = entries(*shape)
    matrix = operator(X, form, storage)
    for count in (0, 1, 3, 40):
        rows = np.random.default_rng(count).integers(0, max(1, shape[0]), count if shape[0] else 0)
        columns, few = matrix.restricted(rows)
        expected = np.arange(shape[1]) if form == "dense" else np.flatnonzero((X[rows] != 0.0).any(axis=0))
        np.testing.assert_array_equal(columns, expected)
        whole = few.as_array()
        np.testing.assert_array_equal(whole if form == "dense" else whole.toarray(), X[rows][:, expected])
        assert few.storage == matrix.storage


def test_restricted_rows_have_sorted_columns_among_many_millions():
    d = 2**24 + 5
    wanted = np.unique(np.append(np.random.default_rng(0).integers(0, d, 500), [0, d - 1]))
    order = np.random.default_rng(1).permutation(len(wanted))
    X = scipy.sparse.csr_array((np.ones(len(wanted)), (order, wanted)), shape=(len(wanted), d))
    columns, few = as_matrix(X).restricted(np.arange(len(wanted)))
    np.testing.assert_array_equal(columns, wanted)
    np.testing.assert_array_equal(few.as_array().indices, np.argsort(order))


@SHAPE
@STORAGE
@KIND
def test_the_gradient_of_restricted_rows_has_the_same_bits(shape, storage, kind):
    X = entries(*shape)
    y, _, w, _ = vectors(*shape)
    rows = np.random.default_rng(2).integers(0, max(1, shape[0]), 600 if shape[0] else 0)
    matrix = operator(X, "sparse", storage)
    columns, few = matrix.restricted(rows)
    loss, values = few.gradient_of_rows(kind, y[rows], w[columns], np.arange(len(rows)))
    gradient = np.zeros(shape[1])
    gradient[columns] = values
    expected = matrix.gradient_of_rows(kind, y, w, rows)
    assert loss == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])


def stepped(kind, X, y, w, rows, *, batch, steps, l2, penalised):
    """Return the result of the steps, one by one in numpy."""
    w = w.copy()
    for j, step in enumerate(steps):
        chosen = rows[j * batch : (j + 1) * batch]
        gradient = X[chosen].T @ twin(kind, X[chosen] @ w, y[chosen])[1] / len(chosen)
        gradient[:penalised] += l2 * w[:penalised]
        w -= step * gradient
    return w


@SHAPE
@FORM
@STORAGE
@KIND
@pytest.mark.parametrize("batch", [1, 4, 600])
def test_sgd_takes_the_steps_that_numpy_takes(shape, form, storage, kind, batch):
    n, d = shape
    X = entries(n, d)
    y, _, w, _ = vectors(n, d)
    rows = np.random.default_rng(3).permutation(n)[: n - n // 3]
    steps = 0.3 / d / np.arange(1.0, -(-len(rows) // batch) + 1)
    expected = stepped(kind, X, y, w, rows, batch=batch, steps=steps, l2=0.1, penalised=d - 1)
    operator(X, form, storage).sgd_steps(kind, y, w, rows, batch, steps, 0.1, d - 1)
    np.testing.assert_allclose(w, expected, rtol=1e-10, atol=1e-10)


@FORM
@pytest.mark.parametrize("shrink", [0.0, 1e-5, -3.0, 0.999, 1e4])
@pytest.mark.parametrize("penalised", [0, 2, 3, 5])
def test_the_regularisers_factor_may_shrink_grow_vanish_or_change_sign(form, shrink, penalised):
    # 1 - step l2 = shrink: the sparse kernel keeps the product of these factors apart from the model
    X = entries(40, 5)
    y, _, w, _ = vectors(40, 5)
    rows = np.arange(40)
    steps = np.full(40, 1e-6)
    l2 = (1.0 - shrink) / 1e-6
    expected = stepped(LOGISTIC, X, y, w, rows, batch=1, steps=steps, l2=l2, penalised=penalised)
    operator(X, form).sgd_steps(LOGISTIC, y, w, rows, 1, steps, l2, penalised)
    np.testing.assert_allclose(w, expected, rtol=1e-9, atol=1e-15)


@FORM
def test_a_step_of_nan_is_not_swallowed(form):
    X = entries(8, 3)
    y, _, w, _ = vectors(8, 3)
    operator(X, form).sgd_steps(LOGISTIC, y, w, np.arange(8), 8, np.array([np.nan]), 0.1, 3)
    assert np.isnan(w).all()


@given(st.integers(0, 40), st.integers(1, 12), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_dense_and_sparse_agree(n, d, seed):
    X = entries(n, d, seed)
    y, s, w, v = vectors(n, d, seed)
    full, few = operator(X), operator(X, "sparse")
    for ours, theirs in zip(full.loss_gradient(LOGISTIC, y, w), few.loss_gradient(LOGISTIC, y, w), strict=True):
        np.testing.assert_allclose(ours, theirs, **CLOSE)
    np.testing.assert_allclose(full.hessian_product(s, v), few.hessian_product(s, v), **CLOSE)
    np.testing.assert_allclose(full.gram(s), few.gram(s), **CLOSE)


@FORM
def test_float32_storage_costs_precision_of_the_entries_only(form):
    X = np.random.default_rng(4).standard_normal((50, 9))
    y, s, w, v = vectors(50, 9)
    rounded = X.astype(np.float32).astype(np.float64)
    matrix = operator(X, form, "f32")
    np.testing.assert_allclose(matrix.hessian_product(s, v), rounded.T @ (s * (rounded @ v)), rtol=1e-12)
    np.testing.assert_allclose(matrix.loss_gradient(LOGISTIC, y, w)[2], rounded @ w, rtol=1e-12, atol=1e-14)


@FORM
@STORAGE
def test_inputs_are_left_alone(form, storage):
    X, rows = entries(20, 5), np.arange(20)
    y, s, w, v = vectors(20, 5)
    given_X = scipy.sparse.csr_array(X) if form == "sparse" else X.copy()
    kept = [a.copy() for a in (y, s, w, v, rows)]
    matrix = as_matrix(given_X, storage)
    matrix.loss_gradient(LOGISTIC, y, w)
    matrix.gradient_of_rows(LOGISTIC, y, w, rows)
    matrix.hessian_product(s, v)
    matrix.gram(s)
    warm(matrix, LOGISTIC, y)
    for before, after in zip(kept, (y, s, w, v, rows), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(given_X.toarray() if form == "sparse" else given_X, X)


@FORM
def test_results_are_new_arrays_each_time(form):
    X = entries(20, 5)
    y, s, w, v = vectors(20, 5)
    matrix = operator(X, form)
    first = matrix.hessian_product(s, v)
    kept = first.copy()
    matrix.hessian_product(s, w)
    matrix.loss_gradient(LOGISTIC, y, w)
    np.testing.assert_array_equal(first, kept)


@FORM
@pytest.mark.parametrize("writable", [True, False])
def test_strided_integer_and_read_only_vectors_are_taken(form, writable):
    X = entries(20, 5)
    y, s, w, v = vectors(20, 5)
    strided = np.repeat(v, 2)[::2]
    strided.flags.writeable = y.flags.writeable = writable
    matrix = operator(X, form)
    np.testing.assert_allclose(matrix.hessian_product(s, strided), X.T @ (s * (X @ v)), **CLOSE)
    np.testing.assert_allclose(matrix.loss_gradient(SQUARED, y.astype(np.int8), w)[1], X.T @ (X @ w - y), **CLOSE)
    assert matrix.loss_gradient(SQUARED, y, w)[0] == pytest.approx(0.5 * ((X @ w - y) ** 2).sum())
    rows = np.arange(20, dtype=np.int32)[::3]
    expected = X[rows].T @ (X[rows] @ w - y[rows])
    np.testing.assert_allclose(matrix.gradient_of_rows(SQUARED, y, w, rows)[1], expected, **CLOSE)


@FORM
@STORAGE
def test_taking_rows_keeps_their_order_and_repetition(form, storage):
    X = entries(20, 5)
    rows = np.array([3, 3, 19, 0])
    taken = operator(X, form, storage).take(rows)
    assert (taken.n, taken.d, taken.storage) == (4, 5, np.dtype({"f64": np.float64, "f32": np.float32}[storage]))
    w = np.arange(5.0)
    np.testing.assert_allclose(taken.margins(w), X[rows] @ w, rtol=1e-12)
    assert operator(X, form, storage).take(rows[:0]).n == 0


@FORM
@pytest.mark.parametrize("count", [0, 1, 7, 20, 50])
def test_the_head_is_the_first_rows_without_a_copy(form, count):
    X = entries(20, 5)
    matrix = operator(X, form)
    head = matrix.head(count)
    assert head.n == min(count, 20)
    rows = head.as_array()
    np.testing.assert_array_equal(rows.toarray() if form == "sparse" else rows, X[:count])
    assert head.nnz == (np.count_nonzero(X[:count]) if form == "sparse" else X[:count].size)
    stored = (lambda m: m.data) if form == "sparse" else (lambda m: m.X)
    assert count == 0 or np.shares_memory(stored(head), stored(matrix))


@FORM
def test_sizes_and_entries_are_told(form):
    X = entries(33, 300)
    matrix = operator(X, form)
    lengths = np.count_nonzero(X, axis=1) if form == "sparse" else np.full(33, 300)
    assert (matrix.n, matrix.d, matrix.nnz) == (33, 300, lengths.sum())
    assert matrix.gram_flops == (lengths * (lengths + 2.0)).sum()


def test_a_matrix_of_the_right_layout_is_not_copied():
    X = entries(9, 4)
    sparse = scipy.sparse.csr_array(X)
    assert as_matrix(X).as_array() is X
    assert np.shares_memory(as_matrix(sparse).data, sparse.data)
    assert np.shares_memory(as_matrix(sparse).indices, sparse.indices)
    assert as_matrix(X.astype(np.float32), None).storage == np.float32
    assert as_matrix(X.astype(np.int32), None).storage == np.float64


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X.tolist(),
        np.asfortranarray,
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: X[::-1][::-1],
        lambda X: X.astype(">f8"),
        scipy.sparse.csc_matrix,
        scipy.sparse.coo_array,
        scipy.sparse.csr_matrix,
    ],
)
def test_any_layout_is_understood(change):
    X = entries(9, 4)
    np.testing.assert_allclose(as_matrix(change(X)).margins(np.arange(4.0)), X @ np.arange(4.0), rtol=1e-12, atol=1e-14)


def test_a_read_only_matrix_is_used_as_it_is():
    X = entries(9, 4)
    X.flags.writeable = False
    warm(as_matrix(X), LOGISTIC, np.ones(9))
    np.testing.assert_allclose(as_matrix(X).margins(np.ones(4)), X @ np.ones(4), rtol=1e-12, atol=1e-14)


def test_unsorted_and_repeated_sparse_entries_are_put_in_order_in_a_copy():
    indices = np.array([2, 0, 2, 1, 0])
    given_X = scipy.sparse.csr_array((np.array([1.0, 2.0, 4.0, 8.0, 16.0]), indices, np.array([0, 3, 5])), shape=(2, 3))
    matrix = as_matrix(given_X)
    assert matrix.nnz == 4
    np.testing.assert_array_equal(matrix.as_array().toarray(), [[2.0, 0.0, 5.0], [16.0, 8.0, 0.0]])
    np.testing.assert_array_equal(given_X.indices, [2, 0, 2, 1, 0])
    np.testing.assert_allclose(matrix.gram(np.ones(2)), matrix.as_array().toarray().T @ matrix.as_array().toarray())


COLD = """
import sys
import numpy as np, scipy.sparse
from hpcopt.kernels import csr, dense, marks, pointwise
from hpcopt.kernels.pointwise import LOGISTIC
from hpcopt.problems.storage import as_matrix, warm
form, storage, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
X, y, w, rows = np.ones((n, 5)), np.ones(n), np.ones(5), np.arange(n)
matrix = as_matrix(scipy.sparse.csr_array(X) if form == "sparse" else X, storage)
warm(matrix, LOGISTIC, y)
kernels = [k for module in (csr, dense, marks, pointwise) for k in vars(module).values() if hasattr(k, "signatures")]
before = [len(kernel.signatures) for kernel in kernels]
z = matrix.loss_gradient(LOGISTIC, y, w)[2]
matrix.margins(w), matrix.hessian_product(y, w), matrix.gram(y), matrix.largest_row()
matrix.gradient_of_rows(LOGISTIC, y, w, rows)
columns, few = matrix.restricted(rows)
few.gradient_of_rows(LOGISTIC, y, w[columns], rows)
matrix.sgd_steps(LOGISTIC, y, w, rows, 3, np.ones(-(-n // 3)), 0.1, 5)
pointwise.ray_losses(LOGISTIC, z, z, y, np.ones(2), np.empty(2))
pointwise.loss_sum(LOGISTIC, z, y)
assert before == [len(kernel.signatures) for kernel in kernels]
"""


@pytest.mark.parametrize("n", [0, 50])
@FORM
@STORAGE
def test_warming_leaves_nothing_to_compile(n, form, storage):  # in a process without compiled kernels
    checkout = str(Path(hpcopt.__file__).parents[1])
    command = [sys.executable, "-c", COLD, form, storage, str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=checkout)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (13, 7), (100, 304)])
def test_aligned_arrays_start_at_a_cache_line(dtype, shape):
    X = aligned_empty(*shape, dtype)
    assert (X.shape, X.dtype, X.flags.carray) == (shape, np.dtype(dtype), True)
    assert X.size == 0 or X.ctypes.data % 64 == 0
    X[:] = 1.0
    assert X.sum() == X.size


@pytest.mark.parametrize(
    ("X", "storage", "message"),
    [
        (np.zeros(3), "f64", r"matrix .*1 dimension"),
        (np.zeros((2, 2, 2)), "f64", r"matrix .*3 dimension"),
        (np.zeros((2, 2), dtype=complex), "f64", "real numbers, got complex128"),
        (np.array([["a"]]), "f64", "real numbers"),
        (np.zeros((2, 2)), "f16", "storage: one of f64, f32; got 'f16'"),
        (np.full((2, 2), 1e300), "f32", "'f32' can't hold"),
        (scipy.sparse.csr_array(np.full((2, 2), 1e300)), "f32", "'f32' can't hold"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused_in_one_line(X, storage, message):
    with pytest.raises(InputError, match=message) as caught:
        as_matrix(X, storage)
    assert "\n" not in str(caught.value)


@FORM
@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.margins(np.ones(6)),
        lambda m: m.loss_gradient(LOGISTIC, np.ones(8), np.ones(5)),
        lambda m: m.hessian_product(np.ones((9, 1)), np.ones(5)),
        lambda m: m.gradient_of_rows(LOGISTIC, np.ones(9), np.ones(5), np.array([0, 9])),
        lambda m: m.gradient_of_rows(LOGISTIC, np.ones(9), np.ones(5), np.array([-1])),
        lambda m: m.gradient_of_rows(LOGISTIC, np.ones(9), np.ones(5), np.array([0.5])),
        lambda m: m.sgd_steps(LOGISTIC, np.ones(9), np.ones(5), np.arange(9), 0, np.ones(9), 0.0, 5),
        lambda m: m.sgd_steps(LOGISTIC, np.ones(9), np.ones(5), np.arange(9), 2, np.ones(4), 0.0, 5),
        lambda m: m.sgd_steps(LOGISTIC, np.ones(9), np.ones(5), np.arange(9), 2, np.ones(5), 0.0, 6),
        lambda m: m.sgd_steps(LOGISTIC, np.ones(9), np.ones(5, np.float32), np.arange(9), 2, np.ones(5), 0.0, 5),
        lambda m: m.gram(np.full(9, -1.0)),
        lambda m: m.gram(np.ones(5)),
        lambda m: m.take(np.array([9])),
        lambda m: m.restricted(np.array([0, 9])),
        lambda m: m.loss_gradient((99, 0.0), np.ones(9), np.ones(5)),
    ],
)
def test_a_wrong_argument_is_refused_before_a_kernel_reads_beyond_an_array(form, call):
    with pytest.raises(ValueError, match=r"w:|y:|s:|steps:|rows:|batch:|penalised:|v:|unknown loss"):
        call(operator(entries(9, 5), form))


def test_the_factory_names_the_form():
    assert isinstance(as_matrix(np.zeros((1, 1))), DenseMatrix)
    assert isinstance(as_matrix(scipy.sparse.csr_array((1, 1))), CsrMatrix)
