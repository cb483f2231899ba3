import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.measure import (
    PAUSE,
    Measured,
    Result,
    Summary,
    compare,
    measure,
    relative_error,
    take_turns,
)
from benchmarks.suite import BenchmarkError, Case, Settings, Side


def test_summary():
    assert Summary.of([4.0, 1.0, 2.0, 3.0, 5.0]) == Summary(
        median=3.0, minimum=1.0, lower=2.0, upper=4.0
    )
    assert Summary.of([2.0]) == Summary(2.0, 2.0, 2.0, 2.0)


def test_ratios():
    case = Case("c", [Side("ours", print, units=3)], dict, {})
    ours, theirs = (
        Measured("ours", [1.0, 2.0, 6.0], growth=10),
        Measured("theirs", [4.0, 4.0, 1.0], growth=40),
    )
    result = Result(case, 2, [ours, theirs])
    assert result.ratio(theirs) == 0.5
    assert result.memory_ratio(theirs) == 0.25
    assert result.memory_ratio(Measured("unknown")) is None
    assert result.units(ours) == 3


@pytest.mark.parametrize(
    ("found", "expected", "error"),
    [
        ([1.0, 2.5], [1.0, 2.0], 0.25),
        ([1.0, -2.5], [1.0, -2.0], 0.25),
        ([0.5], [0.0], 0.5),
        ([], [], 0.0),
        ([1.0, 2.0], [1.0], math.inf),
        ([math.nan], [1.0], math.inf),
        ([math.inf], [1.0], math.inf),
        ([np.zeros(2), np.array([3.0])], [np.zeros(2), np.array([2.0])], 0.5),
    ],
)
def test_relative_error(found, expected, error):
    assert relative_error(found, expected) == error


def test_outliers_are_rows_and_no_more_than_allowed():
    expected = np.ones((10, 2))
    found = expected.copy()
    found[3, 1], found[5] = 7, 2
    assert relative_error(found, expected, 0.1) == 1
    assert relative_error(found, expected, 0.2) == 0
    assert relative_error(found, expected, 0.09) == 6
    found[0, 0] = np.nan
    assert relative_error(found, expected, 0.5) == float("inf")


class Player:
    def __init__(self, name: str, played: list[str]) -> None:
        self.name, self.played, self.turns = name, played, 0

    def turn(self, steps: int) -> list[float]:
        self.played.append(self.name)
        self.turns += 1
        return [self.turns + step / 10 for step in range(steps)]


def test_every_round_has_all_sides_and_begins_with_another_one():
    played: list[str] = []
    seconds = take_turns(
        [Player(name, played) for name in "abc"],
        rounds=4,
        steps=2,
        rest=lambda s: played.append("-"),
    )
    assert "".join(played) == "-a-b-c-b-c-a-c-a-b-a-b-c"
    assert seconds == [[1.0, 1.1, 2.0, 2.1, 3.0, 3.1, 4.0, 4.1]] * 3


def test_pauses_have_the_requested_length():
    rests: list[float] = []
    take_turns([Player("a", [])], rounds=1, steps=1, rest=rests.append)
    take_turns([Player("a", [])], rounds=1, steps=1, pause=0.5, rest=rests.append)
    assert rests == [PAUSE, 0.5]


def test_an_output_that_is_missing_is_named():
    case = Case("c", [], dict, {"map": 1e-4})
    with pytest.raises(BenchmarkError, match="c: theirs expected to return 'map', got features"):
        compare(case, "theirs", {"features": [1.0]}, {"map": [1.0]})


def test_sides_are_measured(fakes, case_of):
    peer = Side(
        "peer", fakes.doubling, {"allocate": 64_000_000, "factor": 2 + 1e-7}, tuned_malloc=True
    )
    result = measure(case_of(Side("ours", fakes.sleeping), peer), Settings(threads=1))
    assert [side.name for side in result.sides] == ["ours", "peer"]
    assert [len(side.seconds) for side in result.sides] == [6, 6]
    assert min(result.sides[0].seconds) >= 0.001
    assert result.sides[0].errors == {"doubled": 0}
    assert result.sides[1].errors["doubled"] == pytest.approx(5e-8)
    assert [bool(side.malloc) for side in result.sides] == [False, True]
    assert (result.threads, result.left_out) == (1, {})
    if Path("/proc/self/status").is_file():
        ours, theirs = result.sides
        assert None not in (ours.peak, ours.growth, theirs.peak, theirs.growth)
        # Memory released before is reused.
        assert 60_000_000 < theirs.growth < theirs.peak
        assert ours.growth < 10_000_000 < ours.peak


def test_the_users_rounds_override_those_of_the_case(fakes, case_of):
    result = measure(case_of(Side("ours", fakes.doubling)), Settings(rounds=1))
    assert len(result.sides[0].seconds) == 3


@pytest.mark.parametrize("factor", [2.001, math.nan])
def test_a_wrong_output_is_refused_before_anything_is_timed(fakes, case_of, tmp_path, factor):
    log = tmp_path / "steps"
    sides = [
        Side("ours", fakes.doubling, {"log": log}),
        Side("peer", fakes.doubling, {"factor": factor, "log": log}),
    ]
    with pytest.raises(
        BenchmarkError, match=r"doubling: peer expected doubled within 1e-06 of the reference, got"
    ):
        measure(case_of(*sides), Settings())
    assert not log.exists()
    measure(case_of(sides[0]), Settings())
    assert log.exists()


def test_the_reference_decides_which_side_is_wrong(fakes, case_of):
    sides = [Side("ours", fakes.doubling, {"factor": 3}), Side("peer", fakes.doubling)]
    with pytest.raises(BenchmarkError, match="doubling: ours expected doubled"):
        measure(case_of(*sides, reference=Side("exact", fakes.doubling)), Settings())


def test_a_side_that_cannot_run_is_left_out(fakes, case_of):
    sides = [
        Side("ours", fakes.doubling),
        Side("peer", fakes.doubling, imports=("a_package_that_nobody_has",)),
        Side("guest", fakes.absent),
    ]
    result = measure(case_of(*sides, reference=Side("exact", fakes.absent)), Settings())
    assert [side.name for side in result.sides] == ["ours"]
    assert result.left_out == {
        "peer": "a_package_that_nobody_has is not installed: "
        "pip install -e '.[bench]' in a checkout of tinygrad-ckn",
        "guest": "it rains",
        "exact": "it rains",
    }


def test_our_own_side_is_not_left_out(fakes, case_of):
    with pytest.raises(BenchmarkError, match="doubling: expected ours to run, got: it rains"):
        measure(case_of(Side("ours", fakes.absent), Side("peer", fakes.doubling)), Settings())
