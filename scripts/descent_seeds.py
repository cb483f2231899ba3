"""Train end to end with many seeds, and check whether accuracy falls without a warning.

    python scripts/descent_seeds.py
    python scripts/descent_seeds.py --n-patches 3000 --iterations 2
    python scripts/descent_seeds.py --n-patches 3000 --iterations 2 --lr 0.01

The first trains 20 seeds on digits with default options; the last has a learning rate
that is too large and diverges. Each seed prints one line: the learning rate, the
initial validation accuracy, the maximum fall of an epoch below the best one before it,
the number of warnings, the epoch that was kept with its validation accuracy, and the
test accuracy. The status is 1 if an epoch fell by more than 2 points without a warning,
or the kept epoch is worse than the start.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from dataclasses import dataclass, field
from typing import Any

from tinygrad_ckn.data import Dataset, load
from tinygrad_ckn.errors import TrainingWarning
from tinygrad_ckn.models import Progress
from tinygrad_ckn.models.learning.best_weights import FALL
from tinygrad_ckn.training import train


@dataclass
class Descended:
    """Progress events of one training."""

    lr: float = 0.0
    accuracies: list[float] = field(default_factory=list)
    kept: int = 0
    warned: int = 0
    test: float = 0.0

    def __call__(self, progress: Progress) -> None:
        """Record an event."""
        if progress.phase in ("start", "epoch"):
            self.accuracies.append(progress.values["validation_accuracy"])
        if progress.phase == "start":
            self.lr = progress.values["lr"]
        if progress.phase == "kept":
            self.kept = progress.done

    @property
    def fall(self) -> float:
        """Maximum fall of an epoch's accuracy below the best one before it."""
        return max(max(self.accuracies[: i + 1]) - now for i, now in enumerate(self.accuracies))

    @property
    def gain(self) -> float:
        """Gain in accuracy of the kept epoch over the start."""
        return self.accuracies[self.kept] - self.accuracies[0]


def descended(dataset: Dataset, seed: int, options: dict[str, Any]) -> Descended:
    """Train with a seed."""
    told = Descended()
    with tempfile.TemporaryDirectory() as parent, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TrainingWarning)
        told.test = train(
            dataset, mode="supervised", seed=seed, out=f"{parent}/run", report=told, **options
        ).accuracy
    told.warned = sum(issubclass(warning.category, TrainingWarning) for warning in caught)
    return told


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--model")
    parser.add_argument("--n-patches", dest="n_patches", type=int)
    for name, kind in (
        ("iterations", int),
        ("epochs", int),
        ("batch-size", int),
        ("lr", float),
        ("refit-classifier-every", int),
    ):
        parser.add_argument(f"--{name}", type=kind)
    for name in ("optimizer", "loss"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--alternating", action="store_true", default=None)
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    seeds = given.pop("seeds")
    dataset = load(given.pop("data"))
    print("seed  lr        start   worst fall  warnings  kept        test", flush=True)
    all_told = []
    for seed in range(seeds):
        told = descended(dataset, seed, given)
        all_told.append(told)
        print(
            f"{seed:4}  {told.lr:<8.2g}  {told.accuracies[0]:.4f}  {told.fall:10.4f}  {told.warned:8}  "
            f"{told.kept:2} {told.accuracies[told.kept]:.4f}   {told.test:.4f}",
            flush=True,
        )
    silent = sum(told.fall > FALL and not told.warned for told in all_told)
    below = sum(told.gain < 0 for told in all_told)
    mean = sum(told.test for told in all_told) / len(all_told)
    print(
        f"falls of more than {FALL:.0%}: {sum(told.fall > FALL for told in all_told)} of {seeds}, {silent} without a "
        f"warning; below the start: {below}; test accuracy {mean:.4f} on average"
    )
    return int(silent + below > 0)


if __name__ == "__main__":
    sys.exit(main())
