"""The suite of programs: every library computes the same loss and the same gradients."""

from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks.measure import relative_error
from benchmarks.process import Process
from benchmarks.suite import OURS, Case, Settings
from benchmarks.suites import programs
from benchmarks.suites.programs import PROGRAMS, Program

CASES = programs._cases(Settings())
each_program = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)


def ours(program: Program, dtype: str | None = None):
    """Return the work of our side."""
    return programs._work(
        programs._inputs(program.name),
        "cpu",
        peer="benchmarks.peers.programs",
        name=program.name,
        dtype=dtype,
    )


def test_names_differ_and_they_make_one_table():
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS)
    assert len({case.name for case in CASES}) == len(PROGRAMS)
    assert len({case.group for case in CASES}) == 1


@each_program
def test_our_side_returns_the_loss_and_a_gradient_of_each_weight(program: Program):
    found, exact = ours(program).outputs(), ours(program, "float64").outputs()
    assert [g.shape for g in found["gradients"]] == list(program.weights)
    assert {g.dtype for g in found["gradients"]} == {np.dtype(program.dtype)}
    assert {g.dtype for g in exact["gradients"]} == {np.dtype("float64")}
    assert relative_error(found["loss"], exact["loss"]) < 1e-5
    assert relative_error(found["gradients"], exact["gradients"]) < 1e-4
    assert all(np.any(g) for g in exact["gradients"])


@each_program
def test_gradients_are_those_of_differences(program: Program):
    inputs = programs._inputs(program.name)
    rng = np.random.default_rng(1)
    weights = {name: array.astype("float64") for name, array in inputs["weights"].items()}
    direction = {name: rng.standard_normal(array.shape) for name, array in weights.items()}

    def at(s: float):
        moved = {name: weights[name] + s * direction[name] for name in weights}
        return programs._work(
            {"data": inputs["data"], "weights": moved},
            "cpu",
            peer="benchmarks.peers.programs",
            name=program.name,
            dtype="float64",
        ).outputs()

    slope = sum(
        float((g * d).sum()) for g, d in zip(at(0)["gradients"], direction.values(), strict=True)
    )
    # no kink of relu and no change of a maximum is that near
    difference = (at(1e-7)["loss"] - at(-1e-7)["loss"]) / 2e-7
    assert slope == pytest.approx(float(difference), rel=1e-5, abs=1e-5)


@each_program
def test_a_step_goes_down(program: Program, monkeypatch):
    monkeypatch.setattr("benchmarks.peers.programs.LR", 1e-3)
    work = ours(program, "float64")
    assert work.step() > work.step()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("peer", [1, 2], ids=["torch", "autograd"])
def test_other_libraries_compute_the_same(case: Case, peer: int):
    side = case.sides[peer]
    if find_spec(side.imports[0]) is None:
        pytest.skip(
            f"peers of the benchmarks need the extra [bench], and {side.imports[0]} "
            "is not installed"
        )
    assert case.sides[0].name == OURS
    inputs = case.inputs()
    expected = ours(programs._named(side.options["name"]), "float64").outputs()
    with Process(side, 1) as process:
        process.start(inputs, "cpu")
        found = process.outputs()
    for output, tolerance in case.tolerances.items():
        assert relative_error(found[output], expected[output]) < tolerance
