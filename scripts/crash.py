"""Kill training runs and fill their disks, and check that no good file was lost.

    python scripts/crash.py                       # 30 kills, 9 disks that are too small
    python scripts/crash.py --kills 300 --seed 1

A kill is SIGKILL, at a random moment or within a write: before or after one of the
calls that sync, rename or remove a file, or after half of a file's bytes. A small disk
is a tmpfs, which needs root and Linux. After each, the files of finished epochs must
exist and be readable: checkpoint.safetensors (the best epoch), last.safetensors,
metrics.jsonl. A new run in the folder must start, or be refused without touching
anything.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tinygrad_ckn.training import Run, load_model
from tinygrad_ckn.training.checkpoint import epoch_of

FAST = ("--mode", "supervised", "--n-patches", "500", "--iterations", "1", "--threads", "1")
CHECKPOINTS = ("checkpoint.safetensors", "last.safetensors")
# Sizes in KB. A model has 87, one with its optimiser's state 170, the configuration 17.
# sizes of the disks
DISKS = (8, 24, 60, 110, 140, 200, 290, 330, 400)
# Run in the child before the command: kills it at the count-th call of a function of
# os, before, halfway through or after it.
KILLER = """
import os, signal, sys
function, count, where = sys.argv[1], int(sys.argv[2]), sys.argv[3]
original, calls = getattr(os, function), []
def killing(*args, **options):
    calls.append(1)
    if len(calls) == count:
        if where == "half" and function == "fsync":
            os.ftruncate(args[0], os.fstat(args[0]).st_size // 2)
        try:
            if where == "after":
                original(*args, **options)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **options)
setattr(os, function, killing)
sys.argv[:4] = ["tinygrad-ckn"]
from tinygrad_ckn.cli import main
main()
"""


@dataclass
class Outcome:
    """The outcome of one training.

    Attributes
    ----------
    how
        How it was interrupted.
    epochs
        Epochs that it had reported.
    left
        Names of the files in its folder.
    problems
        Violations found, as sentences.
    """

    how: str
    epochs: int
    left: list[str]
    problems: list[str] = field(default_factory=list)


def train(
    out: Path, *options: str, before: Sequence[str] = ("-m", "tinygrad_ckn")
) -> subprocess.Popen[str]:
    """Start a training run."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    return subprocess.Popen(
        [sys.executable, *before, "train", *FAST, *options, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def kill_in_write(out: Path, rng: random.Random, epochs: int = 8) -> Outcome:
    """Kill a training run within a write."""
    # No more calls of each function than a training run makes.
    function, max_calls = rng.choice(
        [("fsync", 3 * epochs), ("replace", epochs + 4), ("write", epochs + 4), ("unlink", 4)]
    )
    where = rng.choice(["before", "after", "half"] if function == "fsync" else ["before", "after"])
    return kill_at_call(out, function, rng.randint(1, max_calls), where, epochs)


def kill_at_call(out: Path, function: str, count: int, where: str, epochs: int) -> Outcome:
    """Kill a training run at the count-th call of a function of `os`, or at its last call."""
    while True:
        process = train(
            out, "--epochs", str(epochs), before=("-c", KILLER, function, str(count), where)
        )
        said, _ = process.communicate()
        if process.returncode or count == 1:
            outcome = examined(out, said, f"{where} {function} {count}")
            return (
                outcome if process.returncode else replace(outcome, problems=["it was not killed"])
            )
        shutil.rmtree(out)
        count = (count + 1) // 2


def kill_at_any_time(out: Path, rng: random.Random, longest: float = 4.0) -> Outcome:
    """Kill a training run at a random moment."""
    process = train(out, "--epochs", "400")
    seconds = rng.uniform(0.5, longest)
    time.sleep(seconds)
    process.kill()
    said, _ = process.communicate()
    return examined(out, said, f"after {seconds:.2f} s")


def fill_disk(folder: Path, size: int, epochs: int = 3) -> Outcome:
    """Train on a disk of the given size in KB."""
    with disk(folder, size):
        process = train(folder / "run", "--epochs", str(epochs))
        said, errors = process.communicate()
        outcome = examined(
            folder / "run", said, f"{size} KB, status {process.returncode}", again=False
        )
        if "Traceback" in errors or (process.returncode and "error: " not in errors):
            outcome.problems.append(f"expected a sentence on stderr, got {errors!r}")
        outcome.problems += [
            f"{name} was left" for name in outcome.left if "partial" in name or "lock" in name
        ]
    return outcome


@contextmanager
def disk(folder: Path, size: int) -> Iterator[None]:
    """Mount a tmpfs of the given size in KB on a folder."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def can_mount() -> bool:
    """Return whether this process can mount small disks."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with disk(Path(folder), 8):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def examined(out: Path, said: str, how: str, *, again: bool = True) -> Outcome:
    """Return the files that a training run left, and the problems with them."""
    epochs = max(
        (int(number) for number in re.findall(r"^epoch (\d+) of", said, re.MULTILINE)), default=0
    )
    outcome = Outcome(how, epochs, files(out))
    try:
        if "model.safetensors" in outcome.left:
            load_model(out)
        elif epochs:
            for name in CHECKPOINTS if again else CHECKPOINTS[:1]:
                load_model(out / name)
            last = epoch_of(out / CHECKPOINTS[1])
            if again and (last is None or last < epochs):
                outcome.problems.append(
                    f"{epochs} epochs were done, last.safetensors is of epoch {last}"
                )
        for name in CHECKPOINTS:
            if name in outcome.left:
                load_model(out / name)
        if "config.json" in outcome.left:
            done = [r["done"] for r in Run.open(out).records() if r["phase"] == "epoch"]
            if len(done) < epochs:
                outcome.problems.append(f"{epochs} epochs were done, metrics.jsonl has {len(done)}")
    except Exception as error:
        outcome.problems.append(f"{type(error).__name__}: {error}")
    if again:
        outcome.problems += started_again(out, outcome.left)
    return outcome


def started_again(out: Path, left: list[str]) -> list[str]:
    """Return the problems of another run in the same folder.

    It must neither lose files nor be blocked by them.
    """
    keeps = [name for name in left if name.endswith(".safetensors") and "partial" not in name]
    before = {name: (out / name).read_bytes() for name in keeps}
    process = train(out, "--epochs", "0")
    _, errors = process.communicate()
    if not keeps:
        expected = {
            "config.json",
            "metrics.jsonl",
            "model.safetensors",
            "filters.png",
            "test.json",
            "report.html",
            "README.txt",
        }
        extra = sorted(set(files(out)) - expected)
        return [f"{name} stayed" for name in extra] + (
            [errors.strip()] if process.returncode else []
        )
    problems = (
        []
        if process.returncode == 1 and "expected a new or empty folder" in errors
        else [f"let in: {errors}"]
    )
    return problems + [
        f"{name} was changed" for name in keeps if (out / name).read_bytes() != before[name]
    ]


def files(folder: Path) -> list[str]:
    """Return the names in a folder; none if it does not exist."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def main() -> int:
    """Run the command line; return 1 if an outcome has problems, else 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    outcomes = []
    parent = Path(tempfile.mkdtemp())
    try:
        for i in range(options.kills):
            kill = kill_at_any_time if i % 3 == 0 else kill_in_write
            outcomes.append(kill(parent / f"run{i}", rng))
            show(outcomes[-1])
        killed = len(outcomes)
        if can_mount():
            for size in DISKS:
                (parent / f"disk{size}").mkdir()
                outcomes.append(fill_disk(parent / f"disk{size}", size))
                show(outcomes[-1])
        else:
            print("disks: skipped, for mounting a tmpfs needs root and Linux")
    finally:
        shutil.rmtree(parent)
    bad = [outcome for outcome in outcomes if outcome.problems]
    epochs = sum(outcome.epochs > 0 for outcome in outcomes)
    print(
        f"{killed} kills, {len(outcomes) - killed} disks: {epochs} had finished epochs; "
        f"{len(bad)} lost something or left something in the way"
    )
    return min(1, len(bad))


def show(outcome: Outcome) -> None:
    """Print one line for an outcome."""
    left = " ".join(outcome.left) or "nothing"
    print(
        f"{outcome.how}: {outcome.epochs} epochs done; left {left}",
        *outcome.problems,
        sep="\n    ",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
