import io
import pickle
from pathlib import Path

import pytest

from benchmarks import worker
from benchmarks.suite import Work
from benchmarks.worker import SLOW, Worker, memory, serve


def counting() -> tuple[Worker, list[int]]:
    steps: list[int] = []
    it = Worker()
    it.work = Work(lambda: steps.append(1), dict)
    return it, steps


def test_a_turn_begins_with_steps_that_are_not_timed(monkeypatch):
    it, steps = counting()
    assert len(it.turn(3)) == 3
    assert len(steps) > 3
    steps.clear()
    it.warm_up(2)
    assert len(steps) == 2


def test_slow_steps_need_no_untimed_ones():
    it, steps = counting()
    it.last = SLOW
    assert len(it.turn(3)) == 3
    assert len(steps) == 3


def test_memory_of_this_process(monkeypatch, tmp_path):
    if Path("/proc/self/status").is_file():
        assert 0 < memory("VmRSS") <= memory("VmHWM")
        assert memory("VmNonsense") is None
    assert memory("VmRSS", tmp_path / "none") is None
    (tmp_path / "some").write_text("MemTotal:  9 kB\nMemAvailable:    3 kB\n")
    assert memory("MemAvailable", tmp_path / "some") == 3 * 1024
    monkeypatch.setattr(worker, "memory", lambda name: None)
    assert Worker().peak_memory() == (None, None)


def test_a_request_that_fails_does_not_end_the_service():
    requests = io.BytesIO(
        b"".join(pickle.dumps((method, ())) for method in ("nonsense", "libraries"))
    )
    answers = io.BytesIO()
    serve(requests, answers)
    answers.seek(0)
    kind, value = pickle.load(answers)
    assert kind == "failed"
    assert "nonsense" in value
    assert pickle.load(answers)[0] == "done"
    with pytest.raises(EOFError):
        pickle.load(answers)
