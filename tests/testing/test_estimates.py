"""Numeric derivatives: uncertainties cover errors; kinks, jumps and edges are recognised."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.testing.estimates import noise_of, quick, quick_mixed, settle, settle_mixed

rates = st.floats(1.0, 1e4)
points = st.floats(-2.0, 2.0)
distances = st.floats(1e-6, 0.5)


def from_zero(function, at):
    """Return s -> f(at + s) - f(at)."""
    start = function(at)
    return lambda s: function(at + s) - start


@given(
    points,
    rates,
    st.sampled_from([(math.sin, math.cos), (math.tanh, lambda x: 1 - math.tanh(x) ** 2)]),
)
def test_the_uncertainty_covers_the_error_of_a_steep_function(at, rate, pair):
    function, slope = pair
    sides = settle(from_zero(lambda x: function(rate * x), at), 1.0)
    right = rate * slope(rate * at)
    for side in (sides.central, sides.left, sides.right):
        assert abs(side.best.value - right) <= 3 * side.best.uncertainty + 1e-11 * rate
    assert sides.central.best.uncertainty < 1e-8 * rate
    assert not sides.edge
    assert sides.kink < 1e-9 * rate
    assert sides.gap == 0


@given(distances, st.sampled_from([-1, 1]))
def test_a_kink_at_a_distance_is_left_outside_the_steps(distance, sign):
    sides = settle(from_zero(lambda x: abs(x - sign * distance) * 3 + math.sin(x), 0.0), 3.0)
    right = -sign * 3 + 1
    assert abs(sides.central.best.value - right) <= 3 * sides.central.best.uncertainty + 1e-12
    assert sides.central.best.uncertainty < 1e-7
    assert sides.kink == 0


@given(st.floats(1e-3, 10.0), points)
def test_a_kink_at_the_point_is_measured(jump, slope):
    sides = settle(lambda s: slope * s + 0.5 * jump * abs(s) + s * s, 1.0)
    assert sides.kink == pytest.approx(jump, rel=1e-6)
    assert sides.right.best.value == pytest.approx(slope + 0.5 * jump, abs=1e-9)


@given(st.floats(1e-6, 10.0), st.booleans())
def test_a_jump_at_the_point_is_measured(size, above):
    sides = settle(lambda s: 0.3 * s + (size if (s > 0 if above else s < 0) else 0.0), 1.0)
    assert sides.gap == pytest.approx(size, rel=1e-3)


@pytest.mark.parametrize("side", [-1, 1])
def test_the_edge_of_the_domain_is_told_and_a_step_across_it_is_not_used(side):
    at_the_edge = settle(lambda s: side * s if side * s >= 0 else math.nan, 1.0)
    assert at_the_edge.edge
    near = settle(from_zero(lambda x: math.log(x) if x > 0 else math.nan, 1e-5), 10.0)
    assert not near.edge
    assert near.central.best.value == pytest.approx(1e5, rel=1e-7)


@given(st.floats(1e-12, 1e-3))
def test_noise_is_measured(level):
    random = np.random.default_rng(0)
    values = {}

    def noisy(s):
        return values.setdefault(s, math.sin(s) + level * random.standard_normal())

    assert 0.2 * level < noise_of(noisy, 1.0) < 5 * level
    estimate = settle(noisy, 1.0).central.best
    assert abs(estimate.value - 1) <= 10 * estimate.uncertainty
    assert estimate.uncertainty < 1e3 * level


def test_a_kink_or_a_jump_at_the_point_is_no_noise():
    assert noise_of(abs, 1.0) < 1e-15
    assert noise_of(lambda s: float(s > 0), 1.0) < 1e-15


def test_rounding_in_wide_steps_makes_estimates_rough_and_allows_the_slope_of_large_steps():
    slope = 1e-8 / 3
    estimate = settle(lambda s: round(slope * s, 15), 1e-8).central
    assert estimate.rough
    assert estimate.allows(slope, 0.0)
    assert not estimate.allows(1.1 * slope, 0.0)


def test_a_period_that_divides_large_steps_does_not_deceive():
    sides = settle(
        from_zero(lambda x: math.sin(2610 * x), 1.0), 1.0
    )  # 2610 / 32 is near a multiple of 2 pi
    assert sides.central.best.value == pytest.approx(2610 * math.cos(2610.0), rel=1e-9)


def test_the_quick_ones_are_right_to_the_fourth_power_of_the_step():
    slope, kink = quick(lambda s: math.exp(s) - 1, 2.0**-11)
    assert slope == pytest.approx(1, abs=1e-11)
    assert kink == pytest.approx(0, abs=1e-9)
    assert quick(lambda s: abs(s) + s, 2.0**-11) == pytest.approx((1, 2))
    assert quick_mixed(lambda s, t: math.exp(s + 2 * t), 2.0**-8) == pytest.approx(2, abs=1e-7)


@given(points, rates)
def test_mixed_derivatives_allow_the_right_value_and_no_other(at, rate):
    found = settle_mixed(lambda s, t: math.sin(at + s + rate * t), 1e-16)
    right = -rate * math.sin(at)
    assert found.allows(right, 1e-9 * rate)
    if abs(math.sin(at)) > 0.1:
        assert not found.allows(1.01 * right, 1e-9 * rate)
        assert abs(found.best.value - right) <= 10 * found.best.uncertainty + 1e-9 * rate
