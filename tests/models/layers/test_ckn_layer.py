import itertools
import json
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import inv, sqrtm
from scipy.signal import correlate2d

from tinygrad_ckn import Tensor, grad, no_grad
from tinygrad_ckn.errors import ConfigError, DTypeError, ShapeError
from tinygrad_ckn.models.kernels import Exponential, Polynomial
from tinygrad_ckn.models.layers.ckn_layer import CKNLayer
from tinygrad_ckn.nn import Sphere
from tinygrad_ckn.testing import check_module
from tinygrad_ckn.testing.strategies import (
    arrays,
    near_duplicate_filters,
    patches_with_zero_norm,
    unit_sphere,
)

few = settings(max_examples=15, deadline=None)


def borders(padding: object, kernel: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the zeros before and after the image, for each axis."""
    if isinstance(padding, str):
        return [
            {"valid": (0, 0), "same": ((k - 1) // 2, k // 2), "full": (k - 1, k - 1)}[padding]
            for k in kernel
        ]
    return [(p, p) for p in (padding if isinstance(padding, tuple) else (padding, padding))]


def pooled(maps: np.ndarray, s: float) -> np.ndarray:
    """Pool (N, p, H, W) by the definition: weights exp(-(z - i s)^2 / s^2) at |z - i s| <= s."""
    if s == 1:
        return maps
    height, width = maps.shape[2:]
    out = np.zeros(
        (*maps.shape[:2], math.floor((height - 1) / s) + 1, math.floor((width - 1) / s) + 1)
    )
    for i, j in np.ndindex(*out.shape[2:]):
        total = 0.0
        for y, x in itertools.product(range(-20, height + 20), range(-20, width + 20)):
            dy, dx = y - i * s, x - j * s
            if abs(dy) <= s and abs(dx) <= s:
                weight = math.exp(-(dy**2 + dx**2) / s**2)
                total += weight
                if 0 <= y < height and 0 <= x < width:
                    out[:, :, i, j] += weight * maps[:, :, y, x]
        out[:, :, i, j] /= total
    return out


def psi(case, patch: np.ndarray, z: np.ndarray, eps: float) -> np.ndarray:
    """Return (kappa(Z Z^T) + eps I)^(-1/2) |x| kappa(Z x / |x|) of a patch; z has unit rows."""
    gram = [
        [case.kappa(1.0 if i == j else float(a @ b)) for j, b in enumerate(z)]
        for i, a in enumerate(z)
    ]
    matrix = inv(sqrtm(np.array(gram) + eps * np.eye(len(z))))
    norm = math.hypot(*patch)
    return matrix @ [norm * case.kappa(float(a @ patch) / norm) if norm else 0.0 for a in z]


def reference(
    case, x: np.ndarray, weight: np.ndarray, padding: object, s: float, eps: float
) -> np.ndarray:
    kh, kw = weight.shape[2:]
    z = weight.reshape(len(weight), -1)
    x = np.pad(x, [(0, 0), (0, 0), *borders(padding, (kh, kw))])
    maps = np.zeros((len(x), len(z), x.shape[2] - kh + 1, x.shape[3] - kw + 1))
    for n, i, j in np.ndindex(len(x), *maps.shape[2:]):
        maps[n, :, i, j] = psi(case, x[n, :, i : i + kh, j : j + kw].reshape(-1), z, eps)
    return pooled(maps, s)


def layer_of(z: np.ndarray, kernel, eps: float = 1e-3, **options) -> CKNLayer:
    """Return a layer in float64 with these filters: (p, d), as patches 1 x d, or (p, C, kh, kw)."""
    z = z if z.ndim == 4 else z[:, None, None]
    layer = CKNLayer(
        z.shape[1],
        len(z),
        z.shape[2:],
        kernel=kernel,
        eps=eps,
        dtype="float64",
        **{"padding": "valid"} | options,
    )
    layer.weight.data = z.copy()
    return layer


def embed(layer: CKNLayer, x: np.ndarray) -> np.ndarray:
    """Return psi of patches (n, d) as rows (n, p)."""
    return layer(Tensor(x[:, None, None])).numpy()[:, :, 0, 0]


@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(4, 7), st.integers(4, 7)),
    kernel_size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.sampled_from(["valid", "same", "full", 1, (0, 2)]),
    s=st.sampled_from([1, 2, 3, math.sqrt(2), 2.5]),
    eps=st.sampled_from([1e-3, 0.1]),
)
@settings(max_examples=8, deadline=None)
def test_forward_is_the_formula_at_every_position(
    case, seed: int, size, kernel_size, padding, s, eps
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 2, *size))
    x[:, :, : rng.integers(0, 3)] = 0
    layer = CKNLayer(
        2,
        3,
        kernel_size,
        subsampling=s,
        kernel=case.kernel,
        padding=padding,
        eps=eps,
        rng=seed,
        dtype="float64",
    )
    y = layer(Tensor(x)).numpy()
    expected = reference(case, x, layer.weight.numpy(), padding, s, eps)
    assert y.shape[2:] == layer.output_size(size)
    np.testing.assert_allclose(y, expected, rtol=case.tolerance, atol=10 * case.tolerance)


@pytest.mark.parametrize("padding", ["valid", "same", "full"])
@pytest.mark.parametrize("kernel_size", [(3, 3), (2, 4), (1, 5)])
def test_padding_words_mean_what_scipy_means_by_them(padding: str, kernel_size) -> None:
    layer = CKNLayer(
        2, 3, kernel_size, kernel=Polynomial(1), padding=padding, rng=3, dtype="float64"
    )
    x = np.random.default_rng(0).normal(size=(6, 7))
    x = np.stack([x, x.T[:6, :].repeat(2, 1)[:, :7]])
    w = layer.weight.numpy()
    inner = np.array(
        [sum(correlate2d(x[c], w[k, c], mode=padding) for c in range(2)) for k in range(3)]
    )
    gram = w.reshape(3, -1) @ w.reshape(3, -1).T
    expected = np.tensordot(inv(sqrtm(gram + 1e-3 * np.eye(3))), inner, axes=1)
    np.testing.assert_allclose(layer(Tensor(x[None])).numpy()[0], expected, atol=1e-12)


@pytest.mark.parametrize("s", [2, math.sqrt(2), 3.5])
def test_transforming_after_pooling_is_transforming_before(case, s: float) -> None:
    x = np.random.default_rng(4).normal(size=(2, 2, 7, 5))
    layer = CKNLayer(2, 4, 3, subsampling=s, kernel=case.kernel, rng=5, dtype="float64")
    whole = CKNLayer(2, 4, 3, kernel=case.kernel, rng=5, dtype="float64")
    np.testing.assert_allclose(
        layer(Tensor(x)).numpy(), pooled(whole(Tensor(x)).numpy(), s), rtol=1e-10, atol=1e-12
    )


@given(x=arrays(2, 2, 6, 5), c=st.floats(1e-3, 1e3))
@few
def test_layer_is_positively_homogeneous(case, x: np.ndarray, c: float) -> None:
    layer = CKNLayer(2, 3, 3, subsampling=2, kernel=case.kernel, rng=0, dtype="float64")
    np.testing.assert_allclose(
        layer(Tensor(c * x)).numpy(),
        c * layer(Tensor(x)).numpy(),
        rtol=case.tolerance,
        atol=10 * case.tolerance * c,
    )


@given(x=patches_with_zero_norm(5, 6), z=unit_sphere(4, 6), eps=st.sampled_from([1e-6, 1e-3, 1.0]))
@few
def test_embedding_is_no_longer_than_the_patch(
    case, x: np.ndarray, z: np.ndarray, eps: float
) -> None:
    x[0] = 3 * z[0]
    lengths = np.linalg.norm(embed(layer_of(z, case.kernel, eps), x), axis=1)
    assert (lengths <= np.linalg.norm(x, axis=1) * (1 + 1e-8)).all()


@given(z=unit_sphere(4, 6))
@few
def test_embeddings_of_anchors_reproduce_the_kernel_as_eps_goes_to_0(case, z: np.ndarray) -> None:
    k = case.gram(z, z)
    errors = []
    for eps in (1e-2, 1e-5, 1e-9):
        y = embed(layer_of(z, case.kernel, eps), z)
        errors.append(np.abs(y @ y.T - k).max())
        # K (K + eps I)^-1 K = K - eps I + eps^2 (K + eps I)^-1, which lies within eps of K.
        assert errors[-1] <= eps + 1e-7
    assert errors[0] > errors[1] > errors[2] or errors[0] < 1e-7


@given(x=arrays(5, 6), z=unit_sphere(6, 6), eps=st.sampled_from([1e-6, 1e-2]))
@few
def test_residual_is_not_negative_and_does_not_grow_with_another_anchor(
    case, x, z, eps: float
) -> None:
    squares = (x * x).sum(axis=1)
    residuals = [
        squares - (embed(layer_of(z[:p], case.kernel, eps), x) ** 2).sum(axis=1)
        for p in range(1, 7)
    ]
    assert min(r.min() for r in residuals) >= -1e-7
    assert all((after <= before + 1e-7).all() for before, after in itertools.pairwise(residuals))
    assert residuals[-1].sum() < residuals[0].sum()


def bordered(rng: np.random.Generator) -> np.ndarray:
    x = np.zeros((2, 2, 8, 7))
    x[0, :, 3:6, 3:5] = rng.normal(size=(2, 3, 2))
    return x


def test_zero_patches_give_exactly_0_and_finite_derivatives_of_order_1_and_2(case) -> None:
    rng = np.random.default_rng(6)
    layer = CKNLayer(2, 4, 3, kernel=case.kernel, rng=1, dtype="float64")
    x = Tensor(bordered(rng), requires_grad=True)
    y = layer(x)
    assert not y.numpy()[1].any()
    assert not y.numpy()[0, :, 0].any()
    assert not y.numpy()[0, :, :, 0].any()
    assert np.count_nonzero(y.numpy()[0].any(axis=0)) == 5 * 4
    first = grad((y * Tensor(rng.normal(size=y.shape))).sum(), [x, layer.weight], create_graph=True)
    assert all(np.isfinite(g.numpy()).all() and g.numpy().any() for g in first)
    second = grad(sum((g * g).sum() for g in first), [x, layer.weight])
    assert all(np.isfinite(g.numpy()).all() and g.numpy().any() for g in second)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_image_of_zeros_has_zero_gradient(case, dtype: str) -> None:
    layer = CKNLayer(1, 3, 3, subsampling=2, kernel=case.kernel, dtype=dtype)
    x = Tensor(np.zeros((1, 1, 5, 5), dtype), requires_grad=True)
    y = layer(x)
    assert y.dtype == dtype
    assert not y.numpy().any()
    gradients = grad(y.sum(), [x, layer.weight])
    assert all(g.dtype == dtype and not g.numpy().any() for g in gradients)


def tangent(z: np.ndarray, g: np.ndarray) -> np.ndarray:
    return g - (g * z).sum(axis=1, keepdims=True) * z


def precise_gradient(case, z: np.ndarray, x: np.ndarray, g: np.ndarray, eps: float) -> np.ndarray:
    """Return the derivative of <g, psi(x)> in Z, rows normalised, by 60-digit differences."""

    def value(rows: list[list[mpmath.mpf]]) -> mpmath.mpf:
        rows = [[v / mpmath.sqrt(mpmath.fsum(u * u for u in row)) for v in row] for row in rows]
        p = len(rows)
        gram = mpmath.matrix(p, p)
        for i, j in itertools.product(range(p), repeat=2):
            gram[i, j] = (
                case.kappa(mpmath.fdot(rows[i], rows[j]), mpmath) if i != j else 1
            ) + eps * (i == j)
        w, q = mpmath.eigsy(gram)
        patch = [mpmath.mpf(v) for v in x]
        norm = mpmath.sqrt(mpmath.fdot(patch, patch))
        a = mpmath.matrix(
            [norm * case.kappa(mpmath.fdot(row, patch) / norm, mpmath) for row in rows]
        )
        left, right = q.T * mpmath.matrix([mpmath.mpf(v) for v in g]), q.T * a
        return mpmath.fsum(left[i] * right[i] / mpmath.sqrt(w[i]) for i in range(p))

    with mpmath.workdps(60):
        eps, h = mpmath.mpf(eps), mpmath.mpf(10) ** -20
        result = np.zeros(z.shape)
        for k in np.ndindex(*z.shape):
            rows = [[mpmath.mpf(v) for v in row] for row in z]
            rows[k[0]][k[1]] += h
            above = value(rows)
            rows[k[0]][k[1]] -= 2 * h
            result[k] = (above - value(rows)) / (2 * h)
    return result


@given(z=near_duplicate_filters(3, 4, distance=1e-4), seed=st.integers(0, 2**32))
@settings(max_examples=3, deadline=None)
def test_weight_gradient_is_exact_for_nearly_coinciding_filters(
    smooth_case, z: np.ndarray, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=4), rng.normal(size=3)
    layer = layer_of(z, smooth_case.kernel, eps=1e-3)
    (gradient,) = grad(
        layer(Tensor(x.reshape(1, 1, 1, 4))), layer.weight, gradient=g.reshape(1, 3, 1, 1)
    )
    expected = precise_gradient(smooth_case, z, x, g, 1e-3)
    error = np.linalg.norm(tangent(z, gradient.numpy().reshape(z.shape)) - expected)
    assert error <= 1e-8 * np.linalg.norm(expected)


def test_weight_gradient_on_the_sphere_is_exact_for_every_kernel(case) -> None:
    rng = np.random.default_rng(7)
    z = Sphere().retract(rng.normal(size=(3, 4)))
    x, g = rng.normal(size=4), rng.normal(size=3)
    layer = layer_of(z, case.kernel, eps=1e-2)
    (gradient,) = grad(
        layer(Tensor(x.reshape(1, 1, 1, 4))), layer.weight, gradient=g.reshape(1, 3, 1, 1)
    )
    expected = precise_gradient(case, z, x, g, 1e-2)
    found = tangent(z, gradient.numpy().reshape(z.shape))
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=case.tolerance * 10 * np.linalg.norm(expected)
    )


@pytest.mark.parametrize("s", [1, math.sqrt(2)])
@pytest.mark.parametrize(
    "kernel", [Exponential(0.5), Polynomial(1), Polynomial(2), Polynomial(3)], ids=str
)
def test_derivatives_of_order_1_and_2_in_images_and_filters(kernel, s: float) -> None:
    layer = CKNLayer(2, 3, (3, 2), subsampling=s, kernel=kernel, eps=0.1, rng=2, dtype="float64")
    report = check_module(layer, np.random.default_rng(8).normal(size=(2, 2, 5, 4)), order=2)
    assert {c.argument for c in report.comparisons} >= {"0", "weight"}
    assert {c.order for c in report.comparisons} == {1, 2}


def test_derivatives_of_order_1_and_2_in_images_for_every_kernel(case) -> None:
    layer = CKNLayer(2, 3, 3, subsampling=2, kernel=case.kernel, eps=0.1, rng=2, dtype="float64")
    layer.weight.requires_grad = False
    report = check_module(layer, np.random.default_rng(9).normal(size=(1, 2, 5, 4)), order=2)
    assert {c.order for c in report.comparisons} == {1, 2}


@pytest.mark.parametrize("s", [1, 2])
def test_train_and_eval_give_the_same(case, s: float) -> None:
    layer = CKNLayer(2, 3, 3, subsampling=s, kernel=case.kernel)
    x = Tensor(np.random.default_rng(1).normal(size=(2, 2, 5, 6)).astype("float32"))
    training = layer(x)
    evaluated = layer.eval()(x)
    with no_grad():
        cached = layer(x)
    assert cached.dtype == "float32"
    np.testing.assert_array_equal(training.numpy(), evaluated.numpy())
    fused = (
        1e-5 if layer.kernel_parameters else 0
    )  # a trained kernel is composed of operations until then
    np.testing.assert_allclose(cached.numpy(), training.numpy(), rtol=fused, atol=fused)


def test_filters_start_on_the_sphere_and_are_kept_there() -> None:
    layer = CKNLayer(3, 8, (2, 3), dtype="float64", rng=11)
    assert layer.weight.shape == (8, 3, 2, 3)
    np.testing.assert_allclose((layer.weight.numpy() ** 2).sum(axis=(1, 2, 3)), 1, rtol=1e-14)
    assert layer.weight.constraint == Sphere()


def test_filters_are_drawn_from_the_seed() -> None:
    one, same, other = (CKNLayer(2, 4, 3, rng=seed).weight.numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


@pytest.mark.parametrize("padding", ["same", "full", 2, (0, 1)])
def test_config_is_json_from_which_a_layer_of_the_same_values_is_made(case, padding) -> None:
    layer = CKNLayer(
        2,
        3,
        (3, 2),
        subsampling=1.5,
        kernel=case.kernel,
        padding=padding,
        eps=0.01,
        rng=1,
        dtype="float64",
    )
    twin = CKNLayer(**json.loads(json.dumps(layer.config())))
    twin.load_state_dict(layer.state_dict())
    x = Tensor(np.random.default_rng(2).normal(size=(1, 2, 6, 5)))
    np.testing.assert_array_equal(twin(x).numpy(), layer(x).numpy())


def test_repr_tells_the_options() -> None:
    layer = CKNLayer(2, 3, (3, 2), subsampling=1.5, kernel=Polynomial(2))
    assert "2 -> 3, 3x2, subsampling 1.5, Polynomial(degree=2)" in repr(layer)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"in_channels": 0},
            ConfigError,
            "argument in_channels expected an integer >= 1, got 0",
        ),
        (
            {"n_filters": 2.0},
            ConfigError,
            r"argument n_filters expected an integer >= 1, got 2\.0",
        ),
        (
            {"subsampling": 0.5},
            ShapeError,
            r"argument subsampling expected a number >= 1 or two of them, got 0\.5",
        ),
        (
            {"subsampling": math.nan},
            ShapeError,
            "argument subsampling expected a number >= 1 or two of them, got nan",
        ),
        ({"eps": 0}, ConfigError, "argument eps expected a finite number > 0, got 0"),
        ({"eps": math.nan}, ConfigError, "argument eps expected a finite number > 0, got nan"),
        (
            {"kernel_size": 0},
            ShapeError,
            "argument kernel_size expected an integer >= 1 or two of them, got 0",
        ),
        (
            {"kernel_size": (1, 2, 3)},
            ShapeError,
            "argument kernel_size expected an integer >= 1 or two of them",
        ),
        (
            {"padding": "sane"},
            ShapeError,
            "argument padding expected 'valid', 'same', 'full' or numbers, got 'sane'",
        ),
        (
            {"padding": -1},
            ShapeError,
            "argument padding expected an integer >= 0 or two of them, got -1",
        ),
        ({"kernel": "rbf"}, ConfigError, "expected a Kernel or one of the names"),
        ({"dtype": "int32"}, DTypeError, "argument dtype expected a floating one, got int32"),
    ],
)
def test_options_out_of_range_are_refused(options, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        CKNLayer(**{"in_channels": 1, "n_filters": 2, "kernel_size": 3} | options)


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4), (1, 3, 4, 4), (1, 1, 2, 4, 4)])
def test_other_than_images_of_its_channels_are_refused(shape) -> None:
    with pytest.raises(
        ShapeError, match=r"^CKNLayer: expected images of shape \(N, 2, H, W\), got \("
    ):
        CKNLayer(2, 3, 3)(Tensor(np.ones(shape, "float32")))


def test_images_smaller_than_the_kernel_are_refused() -> None:
    layer = CKNLayer(1, 2, 3, padding="valid")
    with pytest.raises(
        ShapeError,
        match=r"expected an image of at least the kernel's extent \(3, 3\), got \(2, 5\)",
    ):
        layer(Tensor(np.ones((1, 1, 2, 5), "float32")))
    with pytest.raises(
        ShapeError, match=r"^CKNLayer: expected an image of at least the kernel's extent \(3, 3\)"
    ):
        layer.output_size((2, 5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": "a"}, "eps expected a finite number > 0, got 'a'"),
        ({"subsampling": np.inf}, "subsampling expected a number >= 1 or two of them, got inf"),
    ],
)
def test_options_of_another_kind_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises((ConfigError, ShapeError), match=message):
        CKNLayer(1, 3, 2, **options)
