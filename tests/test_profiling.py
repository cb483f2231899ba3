import itertools
import json
import threading
import time

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops, profiling
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.hooks import HOOKS
from tinygrad_ckn.models import CKN, CKNLayer, FineTuning
from tinygrad_ckn.profiling import profile


@pytest.fixture(autouse=True)
def _off_again():
    yield
    assert not HOOKS
    assert profiling._on is None


def work(n=8):
    w = Tensor(np.ones((n, n)), requires_grad=True)
    loss = ops.softmax(w @ np.ones((n, n))).sum()
    loss.backward()


def test_operations_of_both_directions_with_calls_and_bytes():
    with profile() as profiled:
        work()
        work()
    rows = {(row.name, row.direction): row for row in profiled.rows()}
    assert rows["matmul", "forward"].calls == 2
    assert rows["matmul", "forward"].bytes == 2 * 8 * 8 * 8
    assert rows["matmul", "backward"].bytes == 2 * 8 * 8 * 8
    assert rows["sum", "forward"].bytes == 2 * 8
    assert rows["softmax", "backward"].bytes == 2 * 8 * 8 * 8
    # within the rule of sum
    assert rows["broadcast_to", "backward"].calls == 2
    assert ("broadcast_to", "forward") not in rows


def test_own_seconds_do_not_exceed_the_clock():
    start = time.perf_counter()
    with profile() as profiled:
        work(200)
    wall = time.perf_counter() - start
    total = sum(row.seconds for row in profiled.rows())
    assert all(row.seconds >= 0 for row in profiled.rows())
    assert 0 < total <= wall
    outer = (
        sum(event["dur"] for event in profiled.trace()["traceEvents"] if event["args"]["bytes"])
        / 1e6
    )
    # what is nested is counted once
    assert np.isclose(total, outer, rtol=1e-6)


def test_laps_name_the_time_before_them():
    with profile() as profiled:
        work()
        profiling.lap("first")
        work()
        profiling.lap("second")
        ops.exp(np.ones(3))
        profiled.lap("first")
        ops.sin(np.ones(3))
    calls = {
        (row.phase, row.name): row.calls for row in profiled.rows() if row.direction == "forward"
    }
    assert calls["first", "matmul"] == calls["second", "matmul"] == 1
    assert calls["first", "softmax"] == 1
    assert calls["first", "exp"] == 1
    assert calls["", "sin"] == 1
    assert list(profiled.phases) == ["first", "second"]
    assert all(seconds > 0 for seconds in profiled.phases.values())


def test_a_lap_without_a_profile_does_nothing():
    profiling.lap("nothing")
    with profile() as profiled:
        work()
    assert "nothing" not in profiled.phases


def test_the_trace_is_json_of_nested_events(tmp_path):
    # numbers of threads that have ended are used again
    together = threading.Barrier(4)

    def meet():
        together.wait()
        work()
        together.wait()

    with profile() as profiled:
        threads = [threading.Thread(target=meet) for _ in range(3)]
        for thread in threads:
            thread.start()
        meet()
        for thread in threads:
            thread.join()
        profiled.lap("all")
    profiled.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert len({event["tid"] for event in events}) == 4
    assert {event["cat"] for event in events} == {"forward", "backward", "phase"}
    assert sum(event["name"] == "matmul" and event["cat"] == "forward" for event in events) == 4
    for tid in {event["tid"] for event in events}:
        mine = sorted((e for e in events if e["tid"] == tid), key=lambda e: (e["ts"], -e["dur"]))
        ends = []
        for event in mine:
            assert event["ph"] == "X"
            assert event["dur"] >= 0
            end = event["ts"] + event["dur"]
            while ends and ends[-1] <= event["ts"]:
                ends.pop()
            # microseconds, rounded
            assert not ends or end <= ends[-1] + 1e-3, event
            ends.append(end)


def test_the_trace_has_an_end_and_the_totals_go_on(monkeypatch):
    monkeypatch.setattr(profiling, "MOST_EVENTS", 3)
    with profile() as profiled:
        for _ in range(5):
            ops.exp(np.ones(2))
    assert len(profiled.trace()["traceEvents"]) == 3
    assert profiled.rows()[0].calls == 5


def test_errors_end_it_and_are_counted():
    with pytest.raises(ShapeError), profile() as profiled:
        ops.add(np.ones(2), np.ones(3))
    assert [(row.name, row.calls, row.bytes) for row in profiled.rows()] == [("add", 1, 0)]
    with profile() as again:
        ops.exp(np.ones(2))
    assert again.rows()[0].calls == 1
    assert len(profiled.rows()) == 1


def test_named_functions_have_rows_of_their_own_and_all_seconds_are_counted_once(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(profiling.time, "perf_counter", lambda: float(next(clock)))

    @profiling.record_function("inner")
    def inner(x):
        return ops.exp(x)

    @profiling.record_function("outer")
    def outer(x, *, again):
        return inner(ops.sin(x)) if not again else outer(inner(x), again=False)

    assert outer(np.zeros(2), again=True).tolist() == [
        np.exp(np.sin(1)),
        np.exp(np.sin(1)),
    ]  # without a profile too
    with profile() as profiled:
        outer(np.zeros(2), again=True)
        with pytest.raises(ShapeError):
            profiling.record_function("failing")(ops.add)(np.ones(2), np.ones(3))
        profiled.lap("all")
    rows = {(row.name, row.direction): row for row in profiled.rows()}
    assert {key: row.calls for key, row in rows.items()} == {
        ("outer", ""): 2,
        ("inner", ""): 2,
        ("exp", "forward"): 2,
        ("sin", "forward"): 1,
        ("failing", ""): 1,
        ("add", "forward"): 1,
    }
    # as where no named function calls it
    assert rows["exp", "forward"].bytes == 2 * 2 * 8
    assert rows["outer", ""].bytes == rows["inner", ""].bytes == 0
    # Ticks: 13 in the first (two outer, two inner, two exp, one sin, each begins and
    # ends), 3 in the second.
    assert sum(row.seconds for row in rows.values()) == 13 + 3
    assert {event["cat"] for event in profiled.trace()["traceEvents"]} == {
        "function",
        "forward",
        "phase",
    }


def test_a_backward_within_a_named_function_stays_one():
    with profile() as profiled:
        profiling.record_function("step")(work)()
    rows = {(row.name, row.direction) for row in profiled.rows()}
    assert {("step", ""), ("matmul", "forward"), ("matmul", "backward")} < rows
    assert not any(row.name == "step" for row in profiled.rows() if row.direction)


def test_what_a_training_spends_most_of_its_time_on_is_named():
    model = CKN(1, 8, 10, [CKNLayer(1, 4, 3, subsampling=2)])
    split = load_digits().train
    descent = FineTuning(epochs=1, batch_size=50)
    with profile() as profiled:
        model.fit(
            split.images[:100],
            split.labels[:100],
            descent=descent,
            n_patches=500,
            iterations=2,
            rng=0,
        )
    assert {row.name for row in profiled.rows()} >= {
        "sample patches",
        "k-means, seeding",
        "k-means, assignment",
        "k-means, update",
        "classifier, preconditioner",
        "classifier, gradient",
        "classifier, L-BFGS",
        "blocks of images",
        "optimizer step",
        "ckn_map",
    }


def test_one_at_a_time():
    with profile() as profiled:
        with pytest.raises(ConfigError, match="got one inside another"), profile():
            pass
        ops.exp(np.ones(2))
    assert profiled.rows()[0].name == "exp"
