"""Train end to end with many seeds, and check whether accuracy falls without a warning.

    python scripts/finetuning_seeds.py
    python scripts/finetuning_seeds.py --n-patches 3000 --iterations 2
    python scripts/finetuning_seeds.py --n-patches 3000 --iterations 2 --lr 0.01

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
class TrainingLog:
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


def train_with_seed(dataset: Dataset, seed: int, options: dict[str, Any]) -> TrainingLog:
    """Train with a seed."""
    training = TrainingLog()
    with tempfile.TemporaryDirectory() as parent, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TrainingWarning)
        training.test = train(
            dataset, mode="supervised", seed=seed, out=f"{parent}/run", report=training, **options
        ).accuracy
    training.warned = sum(issubclass(warning.category, TrainingWarning) for warning in caught)
    return training


def _options() -> dict[str, Any]:
    """Return the options of the command line that were set."""
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
    return {name: value for name, value in vars(parser.parse_args()).items() if value is not None}


def main() -> int:
    """Run the command line."""
    options = _options()
    seeds = options.pop("seeds")
    dataset = load(options.pop("data"))
    print("seed  lr        start   worst fall  warnings  kept        test", flush=True)
    trainings = []
    for seed in range(seeds):
        training = train_with_seed(dataset, seed, options)
        trainings.append(training)
        print(
            f"{seed:4}  {training.lr:<8.2g}  {training.accuracies[0]:.4f}  {training.fall:10.4f}  "
            f"{training.warned:8}  "
            f"{training.kept:2} {training.accuracies[training.kept]:.4f}   {training.test:.4f}",
            flush=True,
        )
    falls = sum(training.fall > FALL for training in trainings)
    silent = sum(training.fall > FALL and not training.warned for training in trainings)
    below = sum(training.gain < 0 for training in trainings)
    mean = sum(training.test for training in trainings) / len(trainings)
    print(
        f"falls of more than {FALL:.0%}: {falls} of {seeds}, "
        f"{silent} without a warning; below the start: {below}; test accuracy {mean:.4f} on average"
    )
    return int(silent + below > 0)


if __name__ == "__main__":
    sys.exit(main())
