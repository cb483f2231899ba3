"""Peak memory of training on folders of pictures: `python -m benchmarks.folder_memory`.

Two folders of pictures in colour, 3 GB and 0.3 GB of pixels as float32, are made in a
temporary folder; `tinygrad-ckn train` learns unsup-64-256 from each in a process of its
own, whose maximum resident memory the system reports (getrusage(2), ru_maxrss). Both are
read in blocks, because they take more than --memory.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.ckn import natural_images
from benchmarks.suite import BenchmarkError

CLASSES = 10
GB = 1e9
# Pictures that are drawn; the others are shifted ones.
BLOCK = 1000


def make_folder(folder: Path, count: int, size: int) -> None:
    """Write PNG files of size x size to a folder for each class, brighter from class to class."""
    from PIL import Image

    images = natural_images(min(BLOCK, count), 3, size, np.random.default_rng(0))
    images = (40 + 20 * images.clip(-2, 2)).transpose(0, 2, 3, 1)
    for label in range(CLASSES):
        (folder / str(label)).mkdir(parents=True)
    for i in range(count):
        # All differ: by the picture they are shifted from, or by the shift.
        shift = divmod(i // BLOCK, size)
        pixels = np.roll(images[i % BLOCK], shift, axis=(0, 1)) + 14 * (i % CLASSES)
        path = folder / str(i % CLASSES) / f"{i}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path, compress_level=1)


def peak_of(command: list[str]) -> int:
    """Run a command, print its last line, and return its peak memory in bytes.

    Raises
    ------
    BenchmarkError
        If it fails.
    """
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        last = process.stdout.read().splitlines()[-1:]
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchmarkError(
            f"folder_memory: expected {command[-1]} to succeed, got exit status "
            f"{process.returncode}"
        )
    print("  " + " ".join(last), flush=True)
    return usage.ru_maxrss * 1024


def main(arguments: list[str] | None = None) -> None:
    """Print both peaks and their ratio."""
    parser = argparse.ArgumentParser(description="Peak memory of training on folders.")
    parser.add_argument("--gb", type=float, nargs="+", default=[0.3, 3.0])
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--memory", default="100MB")
    parser.add_argument("--options", default="", help="more options of train, in quotes")
    options = parser.parse_args(arguments)
    others = ["--memory", options.memory, *shlex.split(options.options)]
    bytes_each = 4 * 3 * options.size**2
    peaks = []
    with tempfile.TemporaryDirectory() as parent:
        for gb in options.gb:
            folder = Path(parent) / f"{gb:g}"
            count = round(gb * GB / bytes_each)
            make_folder(folder, count, options.size)
            print(f"{count:,} pictures of 3x{options.size}x{options.size}, {gb:g} GB:", flush=True)
            start = time.perf_counter()
            command = [sys.executable, "-m", "tinygrad_ckn", "train", "--data", str(folder)]
            command += ["--model", "unsup-64-256", "--out", str(Path(parent) / f"run-{gb:g}")]
            peaks.append(peak_of([*command, *others]))
            seconds = time.perf_counter() - start
            print(f"  peak {peaks[-1] / GB:.3f} GB, {seconds:.0f} s", flush=True)
    print(f"ratio of the last to the first: {peaks[-1] / peaks[0]:.2f}")


if __name__ == "__main__":
    main()
