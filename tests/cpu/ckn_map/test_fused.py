import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, get_num_threads, grad, no_grad, ops, set_num_threads
from tinygrad_ckn.cpu.ckn_map import fused
from tinygrad_ckn.models import kernels
from tinygrad_ckn.ops.ckn_map import reference_map
from tinygrad_ckn.ops.kappa import Kappa


def exponential(alpha):
    return kernels.Exponential.of_alpha(alpha).fused()


SQUARE, CUBE = kernels.Polynomial(2).fused(), kernels.Polynomial(3).fused()
ARCCOS0, ARCCOS1 = kernels.ArcCosine0().fused(), kernels.ArcCosine1().fused()
KAPPAS = [exponential(2.5), kernels.Polynomial(1).fused(), SQUARE, CUBE, ARCCOS0, ARCCOS1]


def problem(n, c, size, p, kernel, dtype="float64", zeros=True):
    random = np.random.default_rng(0)
    x = random.standard_normal((n, c, *size)).astype(dtype)
    if zeros:
        x[: n // 2, :, : size[0] // 2 + 1, : size[1] // 2 + 1] = (
            # patches of zeros, as in a picture's black border
            0
        )
    z = random.standard_normal((p, c, *kernel)).astype(dtype)
    z /= np.sqrt((z * z).sum(axis=(1, 2, 3), keepdims=True))
    return x, z, random.standard_normal((p, p)).astype(dtype)


def value_and_gradients(function, *arrays, needs_grad=(True, True, True)):
    tensors = [Tensor(a, requires_grad=asked) for a, asked in zip(arrays, needs_grad, strict=True)]
    y = function(*tensors)
    g = np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype)
    y.backward(g)
    return [y.numpy(), *(t.grad.numpy() for t in tensors if t.grad is not None)]


def both(arrays, kappa, padding="same", subsampling=1.0, **options):
    """Return what the kernel and what the composition give."""
    kernel = value_and_gradients(
        lambda x, z, t: ops.ckn_map(x, z, kappa, t, padding=padding, subsampling=subsampling),
        *arrays,
        **options,
    )
    reference = value_and_gradients(
        lambda x, z, t: reference_map(x, z, kappa, t, padding, subsampling), *arrays, **options
    )
    return kernel, reference


def agree(kernel, reference, bound=1e-11):
    assert len(kernel) == len(reference)
    for found, expected in zip(kernel, reference, strict=True):
        assert found.shape == expected.shape
        assert np.isfinite(found).all()
        assert np.abs(found - expected).max() <= bound * max(np.abs(expected).max(), 1e-300)


@given(
    kappa=st.sampled_from(KAPPAS),
    c=st.sampled_from([1, 3, 9, 20]),
    p=st.sampled_from([1, 5, 17]),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.sampled_from([(1, 1), (3, 3), (2, 2), (3, 1), (2, 5)]),
    padding=st.sampled_from(["same", "full", 4, (2, 4)]),
    subsampling=st.sampled_from([1, 1.5, 2, 3]),
    n=st.integers(1, 3),
)
def test_value_and_gradients_equal_the_reference(
    kappa, c, p, size, kernel, padding, subsampling, n
):
    # the cosine of two numbers is 1 or -1, where this kappa has no derivative: rounding
    # would decide what is taken
    assume(kappa is not ARCCOS0 or c * kernel[0] * kernel[1] > 1)
    agree(*both(problem(n, c, size, p, kernel), kappa, padding, subsampling))


@pytest.mark.parametrize(
    "needs_grad", [(True, False, False), (False, True, False), (False, False, True)]
)
@pytest.mark.parametrize("c", [3, 20])
def test_each_gradient_by_itself(needs_grad, c):
    agree(
        *both(
            problem(4, c, (8, 8), 17, (3, 3)),
            exponential(2.0),
            subsampling=2,
            needs_grad=needs_grad,
        )
    )


@pytest.mark.parametrize(
    ("c", "p", "kernel"), [(3, 8, (3, 3)), (20, 17, (1, 1)), (20, 17, (3, 3)), (12, 8, (2, 2))]
)
def test_the_result_does_not_depend_on_the_tile_size(c, p, kernel, monkeypatch):
    arrays = problem(21, c, (9, 8), p, kernel)
    monkeypatch.setattr(
        fused, "tiles", lambda n, *_: [slice(i, min(i + 2, n)) for i in range(0, n, 2)]
    )
    agree(*both(arrays, exponential(2.0), subsampling=2))


@pytest.mark.parametrize("subsampling", [1, 2])
@pytest.mark.parametrize("kappa", [exponential(2.0), SQUARE])
@pytest.mark.parametrize(("c", "kernel"), [(3, (3, 3)), (20, (1, 1)), (20, (3, 3)), (12, (2, 2))])
def test_the_result_does_not_depend_on_the_blocks_of_filters(
    c, kernel, kappa, subsampling, monkeypatch
):
    monkeypatch.setattr("tinygrad_ckn.cpu.winograd_filter._BLOCK", 7)
    agree(*both(problem(3, c, (8, 8), 17, kernel), kappa, subsampling=subsampling))


@pytest.mark.parametrize(
    "kappa",
    [exponential(2.0), Kappa.from_function(lambda u: 1 / (2 - u))],
    ids=["exponential", "function"],
)
@pytest.mark.parametrize(("c", "kernel"), [(3, (3, 3)), (32, (3, 3)), (32, (1, 1)), (12, (2, 2))])
def test_the_same_bits_for_any_number_of_threads(c, kernel, kappa):
    arrays = problem(40, c, (16, 16), 32, kernel, "float32")
    before, found = get_num_threads(), []
    for threads in (1, 2, 3):
        set_num_threads(threads)
        found.append(
            value_and_gradients(lambda x, z, t: ops.ckn_map(x, z, kappa, t, subsampling=2), *arrays)
        )
    set_num_threads(before)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


LAYOUTS = {
    "channels last": lambda a: np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "backwards": lambda a: a[::-1, :, ::-1].copy()[::-1, :, ::-1],
    "every other": lambda a: np.repeat(a, 2, axis=3)[..., ::2],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize(("c", "kernel"), [(3, (3, 3)), (20, (3, 3)), (20, (1, 1))])
def test_images_and_gradients_of_any_layout(layout, c, kernel):
    x, z, _ = problem(4, c, (8, 8), 17, kernel)
    found = []
    for change in (lambda a: a, layout):
        y, saved = fused._ckn_map(np, change(x), z, exponential(2.0), subsampling=2, saving=True)
        g = np.random.default_rng(1).standard_normal(y.shape)
        found.append([y, *saved.vjp(change(g), (True, True, False))[:2]])
    agree(found[1], found[0], 1e-13)


@pytest.mark.parametrize(("c", "p", "bound"), [(3, 32, 2e-6), (64, 64, 1e-4)])
def test_float32_is_near_float64(c, p, bound):
    arrays = problem(4, c, (16, 16), p, (3, 3), "float32", zeros=False)
    kappa = exponential(4.0)
    arrays = (*arrays[:2], np.eye(p, dtype="float32"))
    single = value_and_gradients(
        lambda x, z, t: ops.ckn_map(x, z, kappa, t, subsampling=2), *arrays
    )
    double = value_and_gradients(
        lambda x, z, t: ops.ckn_map(x, z, kappa, t, subsampling=2),
        *(a.astype("float64") for a in arrays),
    )
    assert all(a.dtype == "float32" for a in single)
    errors = [np.abs(a - b).max() / np.abs(b).max() for a, b in zip(single, double, strict=True)]
    assert errors[0] < bound
    assert max(errors) < 3 * bound


def test_nothing_is_saved_without_recording():
    x, z, _ = problem(2, 20, (8, 8), 17, (3, 3))
    y, saved = fused._ckn_map(np, x, z, exponential(2.0), saving=False)
    assert saved is None
    kept, saved = fused._ckn_map(np, x, z, exponential(2.0), saving=True)
    assert saved.v is not None
    assert np.array_equal(y, kept)
    with no_grad():
        assert np.array_equal(
            ops.ckn_map(Tensor(x, requires_grad=True), z, exponential(2.0)).numpy(), y
        )


def test_products_of_small_patches_are_not_saved():
    x, z, _ = problem(2, 3, (8, 8), 17, (3, 3))
    assert fused._ckn_map(np, x, z, exponential(2.0), saving=True)[1].v is None


def own(u):
    return 1 / (2 - u)


def own_value(xp, v, out):
    xp.divide(1, 2 - v, out=out)


def own_value_and_slope(xp, v, values, slopes):
    own_value(xp, v, values)
    return xp.multiply(values, values, out=slopes)


@pytest.mark.parametrize(
    "kappa", [Kappa.from_function(own), Kappa(own, own_value, own_value_and_slope)]
)
def test_a_user_defined_kappa_with_and_without_a_derivative(kappa):
    agree(*both(problem(3, 3, (6, 6), 7, (3, 3)), kappa, subsampling=2))


def test_an_empty_batch_and_mixed_dtypes_use_the_reference():
    x, z, t = problem(0, 3, (6, 6), 5, (3, 3))
    assert ops.ckn_map(x, z, SQUARE, t, subsampling=2).shape == (0, 5, 3, 3)
    x, z, t = problem(2, 3, (6, 6), 5, (3, 3))
    mixed = ops.ckn_map(x.astype("float32"), z, SQUARE, t)
    np.testing.assert_allclose(mixed, ops.ckn_map(x, z, SQUARE, t), rtol=1e-5, atol=1e-6)
    assert mixed.dtype == "float64"


def test_images_of_many_pixels_are_pooled_by_bands():
    arrays = problem(1, 2, (70, 41), 3, (3, 3))
    agree(*both(arrays, exponential(2.0), subsampling=1.5))
    agree(*both(arrays, exponential(2.0), subsampling=40))


@pytest.mark.parametrize("kernel", [(1, 2), (3, 3)])
@pytest.mark.parametrize("c", [1, 20])
def test_a_nan_pixel_spoils_only_its_patches(c, kernel) -> None:
    x, z, _ = problem(2, c, (7, 6), 3, kernel)
    clean = ops.ckn_map(x, z, SQUARE)
    x[0, 0, 3, 2] = np.nan
    found = ops.ckn_map(x, z, SQUARE)
    assert np.isnan(found[0, :, 3, 2]).all()
    known = ~np.isnan(found)
    assert known[1].all()
    np.testing.assert_allclose(found[known], clean[known], rtol=1e-12)


@pytest.mark.parametrize("small", [1e-6, 1e-10, 1e-16])
@pytest.mark.parametrize(
    "kappa", [exponential(1 / 0.3**2), CUBE, ARCCOS1], ids=["exp", "cube", "arccos1"]
)
def test_short_patches_next_to_long_ones_stay_accurate(kappa, small: float) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(20, 16, 3, 3)).astype(
        "float32"
    )  # by Winograd's transforms, which mix patches
    z /= np.sqrt((z**2).sum(axis=(1, 2, 3), keepdims=True))
    x = rng.normal(size=(2, 16, 12, 12)).astype("float32")
    x[:, :, :, 5:] *= small
    x[:, :, :, 9:] = 0
    found = ops.ckn_map(x, z, kappa)
    expected = reference_map(*(a.astype("float64") for a in (x, z)), kappa, None, "same", 1)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    inputs = [Tensor(a, requires_grad=True) for a in (x, z)]
    gradients = grad((ops.ckn_map(*inputs, kappa) ** 2).sum(), inputs)
    assert all(np.isfinite(g.numpy()).all() for g in gradients)
