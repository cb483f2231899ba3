import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_ckn.errors import ConfigError, DTypeError, ShapeError
from tinygrad_ckn.nn import init

ALL = [
    init.uniform,
    init.normal,
    init.kaiming_uniform,
    init.kaiming_normal,
    init.xavier_uniform,
    init.xavier_normal,
    init.orthogonal,
    init.sphere,
]
# fan_in = 450, fan_out = 600
SHAPE = (40, 30, 5, 3)
COUNT = math.prod(SHAPE)


@pytest.mark.parametrize("draw", ALL)
@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (3, 2, 5, 4)])
def test_the_seed_determines_the_bits_and_the_dtype_only_rounds(
    draw: Callable[..., Any], shape: tuple[int, ...]
) -> None:
    first = draw(shape, rng=3)
    assert type(first) is np.ndarray
    assert first.shape == shape
    assert first.dtype == np.float32
    assert first.tobytes() == draw(shape, rng=3).tobytes()
    assert first.tobytes() == draw(shape, rng=np.random.default_rng(3)).tobytes()
    assert first.tobytes() == draw(shape, rng=3, dtype="float64").astype(np.float32).tobytes()
    assert first.tobytes() != draw(shape, rng=4).tobytes()


@pytest.mark.parametrize("draw", ALL)
def test_a_generator_advances(draw: Callable[..., Any]) -> None:
    rng = np.random.default_rng(3)
    assert draw((3, 4), rng=rng).tobytes() != draw((3, 4), rng=rng).tobytes()


@pytest.mark.parametrize("draw", ALL)
def test_the_dtype_is_floating(draw: Callable[..., Any]) -> None:
    with pytest.raises(
        DTypeError, match=r"^init\.\w+: argument dtype expected a floating one, got int64"
    ):
        draw((2, 2), rng=0, dtype="int64")


@pytest.mark.parametrize(
    ("draw", "bound"),
    [
        (lambda **o: init.uniform(SHAPE, low=-2.0, high=2.0, **o), 2.0),
        (lambda **o: init.kaiming_uniform(SHAPE, **o), math.sqrt(6 / 450)),
        (lambda **o: init.kaiming_uniform(SHAPE, gain=1.0, **o), math.sqrt(3 / 450)),
        (lambda **o: init.xavier_uniform(SHAPE, **o), math.sqrt(6 / 1050)),
        (lambda **o: init.xavier_uniform(SHAPE, gain=2.0, **o), 2 * math.sqrt(6 / 1050)),
    ],
)
def test_uniform_distributions(draw: Callable[..., Any], bound: float) -> None:
    x = draw(rng=0, dtype="float64")
    assert abs(x).max() < bound
    assert abs(x).max() > bound * (1 - 20 / COUNT)
    np.testing.assert_allclose(x.std(), bound / math.sqrt(3), rtol=5 / math.sqrt(COUNT))


@pytest.mark.parametrize(
    ("draw", "mean", "std"),
    [
        (lambda **o: init.normal(SHAPE, mean=3.0, std=2.0, **o), 3.0, 2.0),
        (lambda **o: init.kaiming_normal(SHAPE, **o), 0.0, math.sqrt(2 / 450)),
        (lambda **o: init.kaiming_normal(SHAPE, gain=1.0, **o), 0.0, math.sqrt(1 / 450)),
        (lambda **o: init.xavier_normal(SHAPE, **o), 0.0, math.sqrt(2 / 1050)),
        (lambda **o: init.xavier_normal(SHAPE, gain=3.0, **o), 0.0, 3 * math.sqrt(2 / 1050)),
    ],
)
def test_normal_distributions(draw: Callable[..., Any], mean: float, std: float) -> None:
    x = draw(rng=0, dtype="float64")
    np.testing.assert_allclose(x.mean(), mean, atol=5 * std / math.sqrt(COUNT))
    np.testing.assert_allclose(x.std(), std, rtol=5 / math.sqrt(COUNT))
    inside = (abs(x - mean) < std).mean()
    np.testing.assert_allclose(inside, math.erf(math.sqrt(0.5)), atol=5 / math.sqrt(COUNT))


def test_fans_of_a_matrix() -> None:
    # fan_in = 10, fan_out = 1000
    wide = init.xavier_normal((1000, 10), rng=0, dtype="float64")
    np.testing.assert_allclose(wide.std(), math.sqrt(2 / 1010), rtol=0.05)
    np.testing.assert_allclose(
        init.kaiming_normal((1000, 10), rng=0).std(), math.sqrt(2 / 10), rtol=0.05
    )


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (5, 5), (2, 3, 2, 2), (20, 1, 3, 3)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    q = init.orthogonal(shape, rng=0, gain=2.0, dtype="float64").reshape(shape[0], -1)
    gram = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_orthogonal_has_symmetric_signs() -> None:
    """Without the signs of R's diagonal, LAPACK's Q has a first element that is never positive."""
    first = [init.orthogonal((3, 3), rng=seed)[0, 0] for seed in range(40)]
    assert 8 < sum(x > 0 for x in first) < 32


@pytest.mark.parametrize("shape", [(50, 7), (50, 2, 3, 3)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
def test_sphere_has_unit_rows_in_all_directions(
    shape: tuple[int, ...], dtype: str, tolerance: float
) -> None:
    z = init.sphere(shape, rng=0, dtype=dtype).reshape(50, -1).astype("f8")
    np.testing.assert_allclose((z * z).sum(axis=1), 1, atol=tolerance)
    assert np.linalg.norm(z.mean(axis=0)) < 0.3


@pytest.mark.parametrize(
    "draw", [init.kaiming_uniform, init.kaiming_normal, init.xavier_uniform, init.xavier_normal]
)
@pytest.mark.parametrize("shape", [(), (3,), (3, 0), (2, 3, 4), (2, 3, 4, 5, 6)])
def test_fans_need_two_or_four_axes(draw: Callable[..., Any], shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ShapeError,
        match=rf"^init.{draw.__name__}: argument shape expected \(out, in\) or \(out, in, kh",
    ):
        draw(shape, rng=0)


@pytest.mark.parametrize("draw", [init.orthogonal, init.sphere])
@pytest.mark.parametrize("shape", [(), (3,), (3, 0), (0, 3)])
def test_rows_need_two_axes(draw: Callable[..., Any], shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ShapeError, match=rf"^init.{draw.__name__}: argument shape expected two axes or more"
    ):
        draw(shape, rng=0)


def test_bounds_out_of_order_and_negative_deviations_are_rejected() -> None:
    with pytest.raises(
        ConfigError, match=r"init.uniform: argument low expected a number <= high = 1, got 2"
    ):
        init.uniform((2,), rng=0, low=2, high=1)
    with pytest.raises(
        ConfigError, match=r"init.normal: argument std expected a finite number >= 0, got -1"
    ):
        init.normal((2,), rng=0, std=-1)
