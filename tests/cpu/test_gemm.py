import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import get_num_threads, ops, set_num_threads
from tinygrad_ckn.cpu import gemm

sizes = st.sampled_from([1, 2, 7, 33, 64, 130, 300])


def small_pieces(patch, small):
    """Cut small matrices too, so that there are pieces and remainders at their edges."""
    patch.setattr(gemm, "SMALL", small)
    # uncached
    patch.setattr(gemm, "_piece", gemm._piece.__wrapped__)


def operands(shape_a, shape_b, turned, dtype="float64"):
    random = np.random.default_rng(0)
    a, b = (random.standard_normal(shape).astype(dtype) for shape in (shape_a, shape_b))
    if "a" in turned:
        a = np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2)
    if "b" in turned:
        b = np.ascontiguousarray(b.swapaxes(-1, -2)).swapaxes(-1, -2)
    return a, b


@given(
    m=sizes,
    k=sizes,
    n=sizes,
    turned=st.sampled_from(["", "a", "b", "ab"]),
    small=st.sampled_from([500, 20_000]),
)
def test_pieces_make_up_the_product(m, k, n, turned, small):
    a, b = operands((m, k), (k, n), turned)
    out = np.full((m, n), np.nan)
    with pytest.MonkeyPatch.context() as patch:
        small_pieces(patch, small)
        assert gemm.product(a, b, out) is out
    np.testing.assert_allclose(out, a @ b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "shapes", [((3, 70, 40), (40, 300)), ((70, 40), (3, 40, 300)), ((3, 70, 40), (3, 40, 300))]
)
def test_batches_of_either_side(shapes, monkeypatch):
    small_pieces(monkeypatch, 50_000)
    a, b = operands(*shapes, "")
    out = np.full((3, 70, 300), np.nan)
    gemm.product(a, b, out)
    np.testing.assert_allclose(out, a @ b, rtol=1e-12, atol=1e-12)


def test_the_result_may_lie_within_a_larger_array(monkeypatch):
    small_pieces(monkeypatch, 20_000)
    a, b = operands((70, 40), (40, 100), "")
    around = np.full((80, 120), 7.0)
    gemm.product(a, b, around[5:75, 10:110])
    np.testing.assert_allclose(around[5:75, 10:110], a @ b, rtol=1e-12, atol=1e-12)
    around[5:75, 10:110] = 7
    assert (around == 7).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shapes",
    [
        ((500, 80), (80, 90)),
        ((5, 60, 80), (80, 90)),
        ((60, 80), (5, 80, 90)),
        ((2, 1, 60, 80), (3, 80, 90)),
    ],
)
def test_matmul_on_threads_is_numpys(shapes, dtype):
    a, b = operands(*shapes, "", dtype)
    found = ops.matmul(a, b)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.matmul(a.astype("float64"), b), rtol=1e-3, atol=2e-5)


def test_matmul_has_the_same_bits_for_any_number_of_threads():
    a, b = operands((3000, 100), (100, 70), "", "float32")
    before, found = get_num_threads(), []
    for n in (1, 2, 4):
        set_num_threads(n)
        found.append(ops.matmul(a, b))
    set_num_threads(before)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_integers_keep_their_dtype():
    a = np.arange(200 * 80).reshape(200, 80)
    assert np.array_equal(ops.matmul(a, a.T), a @ a.T)
    assert ops.matmul(a, a.T).dtype == a.dtype
