import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError, DTypeError
from tinygrad_ckn.nn import Parameter, Sphere
from tinygrad_ckn.optim import SGD, clip_grad_norm


def with_gradients(dtype="float64"):
    """Return a free parameter and one on the sphere, whose gradients have a radial part."""
    rng = np.random.default_rng(0)
    free = Tensor(rng.normal(size=(3, 2)).astype(dtype), requires_grad=True)
    rows, other = rng.normal(size=(2, 4, 5)).astype(dtype)
    filters = Parameter(Sphere().retract(rows), constraint=Sphere())
    loss = (free * free).sum() + (filters * (filters + other)).sum()
    loss.backward()
    return free, filters


def tangent_norm(free, filters):
    tangent = Sphere().tangent(filters.data, filters.grad.data)
    return np.sqrt((free.grad.data**2).sum() + (tangent**2).sum())


@given(max_norm=st.floats(1e-3, 1e3))
def test_the_norm_of_the_step_is_at_most_the_one_said_and_its_direction_stays(max_norm):
    free, filters = with_gradients()
    before = [free.grad.data.copy(), filters.grad.data.copy()]
    norm = tangent_norm(free, filters)
    assert clip_grad_norm([free, filters], max_norm) == pytest.approx(norm)
    assert tangent_norm(free, filters) == pytest.approx(min(norm, max_norm))
    factor = min(1, max_norm / norm)
    for parameter, gradient in zip((free, filters), before, strict=True):
        np.testing.assert_allclose(parameter.grad.data, factor * gradient, rtol=1e-12)
        if max_norm >= norm:
            np.testing.assert_array_equal(parameter.grad.data, gradient)


def test_a_step_is_as_long_as_the_clipped_gradient():
    free, _ = with_gradients("float32")
    before = free.numpy().copy()
    clip_grad_norm([free], 0.5)
    assert free.grad.dtype == "float32"
    SGD([free], lr=0.1).step()
    assert np.linalg.norm(free.numpy() - before) == pytest.approx(0.05, rel=1e-5)


def test_parameters_without_a_gradient_do_not_count():
    free, filters = with_gradients()
    filters.grad = None
    assert clip_grad_norm([free, filters], 1e9) == pytest.approx(np.linalg.norm(free.grad.data))
    free.grad = None
    assert clip_grad_norm([free, filters], 1e9) == 0


def test_a_gradient_that_is_not_finite_is_not_hidden():
    free, _ = with_gradients()
    free.grad.data = np.full((3, 2), np.nan)
    assert np.isnan(clip_grad_norm([free], 1.0))
    assert np.isnan(free.grad.data).all()


def test_what_cannot_be_clipped_is_refused():
    free, _ = with_gradients()
    for wrong in (0, -1.0, np.inf, "1"):
        with pytest.raises(ConfigError, match="argument max_norm expected a finite"):
            clip_grad_norm([free], wrong)
    with pytest.raises(DTypeError, match="clip_grad_norm: argument params"):
        clip_grad_norm(free, 1.0)
