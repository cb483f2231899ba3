import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from tinygrad_ckn.errors import LinearAlgebraError, ShapeError
from tinygrad_ckn.nn import Constraint, Sphere

sphere = Sphere()


def norms(z: np.ndarray) -> np.ndarray:
    return np.sqrt((z.astype(np.float64).reshape(len(z), -1) ** 2).sum(axis=1))


def test_sphere_is_a_constraint_and_a_value() -> None:
    assert isinstance(sphere, Constraint)
    assert Sphere() == sphere
    assert repr(sphere) == "Sphere()"


@given(
    array_shapes(min_dims=1, max_dims=4, max_side=5),
    st.integers(0, 2**32),
    st.sampled_from(["f4", "f8"]),
)
def test_projection_and_retraction(shape: tuple[int, ...], seed: int, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    tolerance = 1e-6 if dtype == "f4" else 1e-14
    data, gradient = rng.normal(size=shape).astype(dtype), rng.normal(size=shape).astype(dtype)
    before = data.copy(), gradient.copy()
    z = sphere.retract(data)
    assert z.shape == shape
    assert z.dtype == dtype
    np.testing.assert_allclose(norms(z), 1, atol=tolerance)
    np.testing.assert_allclose(
        z * norms(data).reshape(-1, *[1] * (data.ndim - 1)), data, atol=5 * tolerance
    )
    tangent = sphere.tangent(z, gradient)
    assert tangent.shape == shape
    assert tangent.dtype == dtype
    rows, flat = z.reshape(len(z), -1).astype("f8"), tangent.reshape(len(z), -1).astype("f8")
    np.testing.assert_allclose((rows * flat).sum(axis=1), 0, atol=20 * tolerance)
    # The removed part is along z: g - t = <g, z> z.
    along = (gradient.reshape(len(z), -1) * rows).sum(axis=1)[:, None] * rows
    np.testing.assert_allclose(gradient.reshape(len(z), -1) - flat, along, atol=20 * tolerance)
    np.testing.assert_array_equal(data, before[0])
    np.testing.assert_array_equal(gradient, before[1])


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e30, 3e38])
def test_retraction_of_rows_whose_squares_overflow_or_underflow(scale: float) -> None:
    z = sphere.retract(np.full((2, 3), scale, np.float32))
    np.testing.assert_allclose(z, 3**-0.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "kind"), [(0.0, "a zero one"), (np.nan, "NaN or infinity"), (-np.inf, "NaN or inf")]
)
def test_rows_without_direction_are_rejected(value: float, kind: str) -> None:
    data = np.ones((3, 2))
    data[1] = value
    with pytest.raises(
        LinearAlgebraError,
        match=rf"Sphere.retract: .* non-zero finite rows, got {kind}.* at index 1;",
    ):
        sphere.retract(data)


def test_shapes_without_rows_are_rejected() -> None:
    for shape in [(), (0,), (3, 0)]:
        with pytest.raises(
            ShapeError, match=r"Sphere.retract: .* rows \(p, ...\) of at least one element"
        ):
            sphere.retract(np.ones(shape))
        with pytest.raises(
            ShapeError, match=r"Sphere.tangent: .* rows \(p, ...\) of at least one element"
        ):
            sphere.tangent(np.ones(shape), np.ones(shape))
    with pytest.raises(
        ShapeError, match=r"argument gradient expected the data's shape \(2, 3\), got \(2, 1\)"
    ):
        sphere.tangent(np.ones((2, 3)), np.ones((2, 1)))
