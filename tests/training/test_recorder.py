"""Progress reports of a training, and its time by phase."""

from pathlib import Path

import pytest

from tinygrad_ckn.data import Dataset
from tinygrad_ckn.models import Progress
from tinygrad_ckn.training import Run, train
from tinygrad_ckn.training import recorder as module
from tinygrad_ckn.training.options import resolve
from tinygrad_ckn.training.recorder import Recorder
from tinygrad_ckn.training.signals import Signals

FAST = {"n_patches": 1000}


def test_rate_counts_the_images_of_this_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    told: list[Progress] = []
    options = resolve("digits", mode="supervised", batch_size=50, validation=0.1)
    recorder = Recorder(Run.create(tmp_path / "run", {}), told.append, 144, options, Signals())
    for done in range(1, 7):
        clock[0] += 2
        recorder(Progress("batch", done, 6, {"loss": 1.0}))
        if done == 3:
            recorder(Progress("epoch", 1, 2, {"loss": 1.0}))
    rates = [progress.values["images_per_second"] for progress in told if progress.phase == "batch"]
    assert rates == [25, 25, 24, 25, 25, 24]
    assert recorder.seconds == {"epoch": 12}


@pytest.mark.parametrize("alternating", [False, True])
def test_the_time_of_a_descent_is_booked_to_its_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alternating: bool
):
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    options = resolve(
        "digits", mode="supervised", batch_size=80, validation=0, alternating=alternating
    )
    recorder = Recorder(
        Run.create(tmp_path / "run", {}), lambda progress: None, 160, options, Signals()
    )

    def report(phase: str, done: int, total: int, after: float) -> None:
        clock[0] += after
        recorder(Progress(phase, done, total))

    for epoch in (1, 2):
        for batch in (1, 2):
            report("batch", 2 * epoch - 2 + batch, 4, after=10)
        if alternating and epoch == 1:
            report("classifier", 0, 1, after=0)
            report("classifier", 1, 1, after=100)
        report("epoch", epoch, 2, after=3)
    solved = {"classifier": 100} if alternating else {}
    assert recorder.seconds == {"epoch": 46} | solved
    assert [(record["phase"], record["seconds"]) for record in recorder.run.records()] == [
        *solved.items(),
        ("epoch", 23),
        ("epoch", 23),
    ]


@pytest.mark.filterwarnings("ignore::tinygrad_ckn.errors.TrainingWarning")
def test_the_last_classifier_is_announced_after_early_stopping_too(
    few_digits: Dataset, tmp_path: Path
):
    told: list[Progress] = []
    options = {
        "mode": "supervised",
        "epochs": 30,
        "patience": 1,
        "lr": 3.0,
    }  # no epoch is better than the start
    train(few_digits, **options, **FAST, out=tmp_path / "run", report=told.append)
    assert [
        (p.phase, p.done, p.total) for p in told if p.phase in ("epoch", "classifier", "kept")
    ] == [
        ("classifier", 0, 1),
        ("classifier", 1, 1),
        ("epoch", 1, 30),
        ("kept", 0, 1),
        ("classifier", 0, 1),
        ("classifier", 1, 1),
    ]
