"""Kill trainings at random times, resume them, and compare the results to the bit.

    python scripts/kill_and_resume.py --kills 50 --out /tmp/kills

Each trial starts `tinygrad-ckn train`, kills it with SIGKILL after a random time, or
within a random write, resumes it, sometimes kills it again, and at last compares
model.safetensors byte by byte, and metrics.jsonl line by line without times, with those
of a training that was left alone. With --signal TERM the process is asked to end instead,
and must exit with 143. Only trials that were interrupted count.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from crash import KILLER

COMMAND = [sys.executable, "-m", "tinygrad_ckn", "train"]
OPTIONS = ["--mode", "supervised", "--n-patches", "20000", "--iterations", "10", "--epochs", "6"]
# Entries of metrics.jsonl that are times and memory.
_VARYING = ("seconds", "peak_memory")
_MODEL = "model.safetensors"


def lines(run: Path) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl without times."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in record.items() if k not in _VARYING} for record in records]


def stage(run: Path) -> str:
    """Return the stage at which a run was interrupted, as its files say."""
    if (run / _MODEL).exists():
        return "model saved"
    if not (run / "config.json").exists():
        return "before config.json"
    if any(run.glob(".*.partial")):
        return "in a write"
    if not (run / "metrics.jsonl").exists() or not lines(run):
        return "k-means of layer 1"
    last = lines(run)[-1]
    after = {"filters": "k-means or encoding", "classifier": "descent or encoding"}
    return after.get(last["phase"], f"after {last['phase']}")


def ended(command: list[str], seconds: float, number: int) -> int | None:
    """Run a command, send it a signal after some time, and return its exit status."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        process.wait()
    return process.returncode


def interrupted(
    arguments: list[str], duration: float, draw: random.Random, number: int
) -> int | None:
    """Start a training and interrupt it at a random time, or within a random write."""
    if number == signal.SIGKILL and draw.random() < 0.4:
        function, most = draw.choice([("fsync", 40), ("replace", 40), ("write", 15), ("unlink", 3)])
        where = draw.choice(["before", "after", "half"])
        call = [function, str(draw.randint(1, most)), where]
        command = [sys.executable, "-c", KILLER, *call, "train", *arguments]
        return ended(command, 10 * duration, number)
    return ended([*COMMAND, *arguments], draw.uniform(0.5, duration), number)


def trial(out: Path, options: list[str], duration: float, draw: random.Random, number: int) -> str:
    """Interrupt and resume one training until it ends; return where it was interrupted."""
    shutil.rmtree(out, ignore_errors=True)
    status = interrupted([*options, "--out", str(out)], duration, draw, number)
    if status == 0:
        return ""
    place = stage(out)
    if place == "model saved" and lines(out)[-1]["phase"] == "test":
        # The training had ended; the process was printing its result.
        return ""
    if number == signal.SIGTERM and place != "before config.json" and status != 128 + number:
        raise SystemExit(f"expected exit status {128 + number}, got {status} in stage {place}")
    if place == "before config.json":
        return ""
    if draw.random() < 0.3:
        interrupted(["--resume", str(out)], duration, draw, number)
    resume = [*COMMAND, "--resume", str(out)]
    result = subprocess.run(resume, capture_output=True, text=True, check=False)
    if result.returncode and "finished one" not in result.stderr:
        raise SystemExit(f"resuming after {place} failed: {result.stderr}")
    return place


def main() -> None:
    """Run the trials, and print how many ended with the same bits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signal", choices=["KILL", "TERM"], default="KILL")
    parser.add_argument("options", nargs="*", help="of the training, after --")
    arguments = parser.parse_args()
    options = [*OPTIONS, "--checkpoint-every", "0.002m", *arguments.options]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    arguments.out.mkdir(parents=True, exist_ok=True)
    whole = arguments.out / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    start = time.perf_counter()
    subprocess.run([*COMMAND, *options, "--out", str(whole)], check=True, capture_output=True)
    duration = time.perf_counter() - start
    draw = random.Random(arguments.seed)
    places: Counter[str] = Counter()
    same = 0
    number = getattr(signal, f"SIG{arguments.signal}")
    while (i := places.total()) < arguments.kills:
        run = arguments.out / "interrupted"
        place = trial(run, options, duration, draw, number)
        if not place:
            continue
        places[place] += 1
        equal = (run / _MODEL).read_bytes() == (whole / _MODEL).read_bytes()
        equal = equal and lines(run) == lines(whole)
        same += equal
        print(f"{i + 1}: {place}: {'same bits' if equal else 'DIFFERENT'}", flush=True)
        if not equal:
            shutil.copytree(run, arguments.out / f"different-{i + 1}", dirs_exist_ok=True)
    print(f"{same} of {arguments.kills} with the same bits; interrupted: {dict(places)}")


if __name__ == "__main__":
    main()
