"""Memory of spherical k-means on a million patches: `python -m benchmarks.kmeans_memory`.

Patches of 2,304 dimensions from the maps of 256 filters are drawn into a temporary file
(9.2 GB) and clustered from there, in full passes and in batches. Each run is a separate
process, whose anonymous memory (RssAnon of /proc/PID/status) is sampled every 5 ms from
outside. Cached pages of the file do not count, because the system drops them when it
needs memory.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ckn import natural_images
from benchmarks.suite import BenchmarkError

CHANNELS = 256
KERNEL = 3
SIZE = 32
DIMENSIONS = CHANNELS * KERNEL**2
# average number per image, low enough for few duplicates
PATCHES_OF_AN_IMAGE = 250
GB = 1e9


def draw(file: Path, points: int) -> None:
    """Fill an .npy file with patches of the output of a layer with 256 filters."""
    from tinygrad_ckn import no_grad
    from tinygrad_ckn.graph import unwrap
    from tinygrad_ckn.models import CKNLayer, sample_patches

    rng = np.random.default_rng(0)
    blocks = -(-points // PATCHES_OF_AN_IMAGE**2)
    images = np.concatenate(
        [natural_images(PATCHES_OF_AN_IMAGE, 3, SIZE, rng) for _ in range(blocks)]
    )
    below = CKNLayer(3, CHANNELS, KERNEL, rng=rng).eval()

    def encode(x: Any) -> Any:
        with no_grad():
            return unwrap(below(x))

    out = np.lib.format.open_memmap(file, mode="w+", dtype="float32", shape=(points, DIMENSIONS))
    patches = sample_patches(
        images, CKNLayer(CHANNELS, 1, KERNEL), points, rng=rng, encode=encode, out=out
    )
    if len(patches) < points:
        raise BenchmarkError(
            f"kmeans_memory: expected {points} patches that are not zero, got {len(patches)}"
        )


def cluster(file: Path, clusters: int, iterations: int, batch_size: int | None) -> None:
    """Cluster the points of an .npy file."""
    from tinygrad_ckn.models import spherical_kmeans

    def report(iteration: int, objective: float) -> None:
        print(f"  iteration {iteration}: mean cosine {objective:.5f}", flush=True)

    spherical_kmeans(
        np.load(file, mmap_mode="r"),
        clusters,
        iterations=iterations,
        batch_size=batch_size,
        report=report,
    )


def anonymous(pid: int | None) -> int:
    """Return the bytes of anonymous memory of a process; 0 if it has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def peak_of(function: Callable[..., None], *arguments: Any) -> int:
    """Call a function in a separate process and return its peak anonymous memory in bytes.

    Raises
    ------
    BenchmarkError
        If the process fails.
    """
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    peak = 0
    while process.exitcode is None:
        peak = max(peak, anonymous(process.pid))
        process.join(0.005)
    if process.exitcode:
        raise BenchmarkError(
            f"kmeans_memory: expected {function.__name__} to succeed, "
            f"got exit status {process.exitcode}"
        )
    return peak


def main(arguments: list[str] | None = None) -> None:
    """Print the peaks."""
    parser = argparse.ArgumentParser(description="Memory of spherical k-means.")
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--clusters", type=int, default=1024)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=10_000)
    options = parser.parse_args(arguments)
    size = options.points * DIMENSIONS * 4
    print(
        f"x: {options.points:,} x {DIMENSIONS} float32 in a file, {size / GB:.2f} GB; "
        f"k = {options.clusters}"
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "patches.npy"
        peak = peak_of(draw, file, options.points)
        print(f"sample_patches into the file: peak {peak / GB:.2f} GB anonymous", flush=True)
        peak = peak_of(cluster, file, options.clusters, options.iterations, options.batch_size)
        print(f"batches of {options.batch_size:,}: peak {peak / GB:.2f} GB anonymous", flush=True)
        peak = peak_of(cluster, file, options.clusters, options.iterations, None)
        print(
            f"full passes: peak {peak / GB:.2f} GB anonymous; "
            f"with x in memory {(peak + size) / GB:.2f} GB",
            flush=True,
        )


if __name__ == "__main__":
    main()
