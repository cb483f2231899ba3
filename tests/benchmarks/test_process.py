import numpy as np
import pytest

from benchmarks.process import THREADS, TUNED_MALLOC, Process, environment
from benchmarks.suite import BenchmarkError, Side

NUMBERS = {"numbers": np.arange(3.0)}


def test_threads_and_malloc_are_set_by_the_benchmark(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    plain, tuned = environment(3, tuned_malloc=False), environment(1, tuned_malloc=True)
    assert {plain[name] for name in THREADS} == {"3"}
    assert {tuned[name] for name in THREADS} == {"1"}
    assert not [name for name in plain if name.startswith("MALLOC_")]
    assert {name: tuned[name] for name in tuned if name.startswith("MALLOC_")} == TUNED_MALLOC
    assert plain["SOMETHING_ELSE"] == "kept"


def test_the_process_has_that_environment(fakes):
    side = Side(
        "it", fakes.environment, {"names": ["OMP_NUM_THREADS", *TUNED_MALLOC]}, tuned_malloc=True
    )
    with Process(side, 2) as process:
        process.start(NUMBERS, "cpu")
        assert process.outputs()["values"].tolist() == [2, *map(float, TUNED_MALLOC.values())]


def test_output_of_a_side_is_not_an_answer(fakes, capfd):
    with Process(Side("it", fakes.talking), 1) as process:
        process.start(NUMBERS, "cpu")
        assert process.outputs()["doubled"].tolist() == [0, 2, 4]
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "what a library says" in captured.err
    assert "and what its C code says" in captured.err


def test_arrays_own_their_memory(fakes):
    inputs = {**NUMBERS, "nested": {"list": [np.arange(4.0)]}}
    with Process(Side("it", fakes.memory_of_inputs), 1) as process:
        process.start(inputs, "cpu")
        assert process.outputs()["owned"].tolist() == [True, True]


def test_libraries_are_described(fakes):
    with Process(Side("it", fakes.doubling, imports=("scipy.linalg",)), 1) as process:
        process.start(NUMBERS, "cpu")
        assert any("1 threads" in library for library in process.libraries())


def test_an_error_has_its_traceback(fakes):
    with (
        Process(Side("it", fakes.failing), 1) as process,
        pytest.raises(
            BenchmarkError,
            match=r"(?s)^it: start failed with ZeroDivisionError: a bug\n.*fake_sides.py",
        ),
    ):
        process.start(NUMBERS, "cpu")


def test_a_process_that_ends_is_an_error(fakes):
    with (
        Process(Side("it", fakes.dying), 1) as process,
        pytest.raises(
            BenchmarkError, match=r"it: expected an answer to start, got none; .* status 3"
        ),
    ):
        process.start(NUMBERS, "cpu")


def test_the_process_ends_with_the_block(fakes):
    with Process(Side("it", fakes.doubling), 1) as process:
        process.start(NUMBERS, "cpu")
    assert process._child.returncode == 0
    # Stopping again has no effect.
    process.stop()
    with pytest.raises(KeyboardInterrupt), Process(Side("it", fakes.doubling), 1) as process:
        raise KeyboardInterrupt
    assert process._child.returncode == -9
