import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.models.linear.l2_search import (
    MIDDLE,
    SCALE,
    WEIGHTED_SCALE,
    HeldOut,
    choose_l2,
    choose_l2_by_loss,
    held_out_indices,
    l2_at,
)


def climb(error_of):
    """Return the result of choose_l2 if each l2 is its own solution, the l2 tried, the starts."""
    starts: dict[float, object] = {}
    told: list[tuple[float, HeldOut]] = []

    def solve(l2: float, start: object) -> float:
        starts[l2] = start
        return l2

    found = choose_l2(solve, error_of, "start", lambda l2, measured: told.append((l2, measured)))
    return found, told, starts


@given(st.sampled_from(SCALE), st.floats(0.1, 3), st.floats(0.1, 3))
def test_the_bottom_of_one_valley_is_found(bottom: int, left: float, right: float) -> None:
    def error_of(l2: float) -> HeldOut:
        k = -2 * np.log10(l2)
        return HeldOut(max(left * (bottom - k), right * (k - bottom)), 0.0)

    (l2, solution, held_out), told, _ = climb(error_of)
    assert l2 == solution == l2_at(bottom)
    assert list(held_out.items()) == told
    assert len(told) <= 14


def test_of_equal_errors_the_loss_decides() -> None:
    (l2, _, _), _, _ = climb(lambda l2: HeldOut(0.1, abs(np.log10(l2) + 5.5)))
    assert l2 == pytest.approx(10**-5.5, rel=0.02)


def test_where_all_is_equal_the_middle_is_taken() -> None:
    (l2, _, held_out), _, _ = climb(lambda l2: HeldOut(0.1, 0.2))
    assert l2 == l2_at(MIDDLE) == 1e-6
    assert sorted(held_out) == [1e-7, 3.2e-7, 1e-6, 3.2e-6, 1e-5]


def test_a_solution_is_begun_at_the_best_so_far() -> None:
    _, _, starts = climb(lambda l2: HeldOut(abs(np.log10(l2) + 8), 0.0))
    assert starts[1e-6] == "start"
    assert starts[1e-7] == starts[1e-5] == 1e-6
    assert starts[1e-8] == 1e-7


@pytest.mark.parametrize(("n", "count"), [(10, 2), (4_000, 800), (6_000, 1_000), (12_000, 1_200)])
def test_a_tenth_but_of_small_sets_up_to_a_fifth_is_held_out(n: int, count: int) -> None:
    chosen = held_out_indices(n, np.random.default_rng(0))
    assert len(np.unique(chosen)) == len(chosen) == count
    assert (np.diff(chosen) > 0).all()
    assert chosen.min() >= 0
    assert chosen.max() < n
    np.testing.assert_array_equal(chosen, held_out_indices(n, np.random.default_rng(0)))
    assert (chosen != held_out_indices(n, np.random.default_rng(1))).any()


@given(st.sampled_from(WEIGHTED_SCALE), st.floats(0.1, 3), st.floats(0.1, 3))
def test_with_weights_the_lowest_loss_is_found_from_the_strongest_l2_down(
    bottom: int, left: float, right: float
) -> None:
    starts: list[object] = []
    told: list[tuple[float, HeldOut]] = []

    def solve(l2: float, start: object) -> object:
        starts.append(start)
        return l2

    def results_of(l2: float) -> HeldOut:
        k = -2 * np.log10(l2)
        return HeldOut(k, max(left * (bottom - k), right * (k - bottom)))

    l2, solution, held_out = choose_l2_by_loss(
        solve, results_of, "start", lambda l2, measured: told.append((l2, measured))
    )
    assert l2 == solution == l2_at(bottom)
    assert list(held_out.items()) == told
    # Each starts from the one before; two more are tried than needed.
    assert starts == ["start", *held_out][:-1]
    assert min(held_out) >= l2_at(bottom + 4)
