import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import kmeans_memory
from benchmarks.suite import BenchmarkError

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux's /proc"
)


def test_anonymous_memory_grows_by_what_is_written_and_not_by_what_is_read_from_a_file(
    tmp_path: Path,
) -> None:
    np.save(tmp_path / "x.npy", np.ones(20_000_000, "float32"))
    before = kmeans_memory.anonymous(os.getpid())
    file = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert file.sum() == 20_000_000
    assert kmeans_memory.anonymous(os.getpid()) - before < 20e6
    copy = np.array(file)
    assert kmeans_memory.anonymous(os.getpid()) - before > 0.9 * copy.nbytes


def test_the_peak_of_a_process_is_recorded_after_it_released_the_memory() -> None:
    code = "import time; x = b'1' * 200_000_000; time.sleep(0.2); del x; time.sleep(0.1)"
    assert 200e6 < kmeans_memory.peak_of(exec, code) < 300e6


def test_a_process_that_fails_is_an_error() -> None:
    with pytest.raises(BenchmarkError, match="expected exit to succeed, got exit status 3"):
        kmeans_memory.peak_of(sys.exit, 3)


def test_points_in_a_file_are_clustered_without_a_copy_of_them(
    capfd: pytest.CaptureFixture[str],
) -> None:
    options = "--points 20000 --clusters 16 --iterations 2 --batch-size 1000"
    kmeans_memory.main(options.split())
    printed = capfd.readouterr().out
    peaks = dict(re.findall(r"^(.*): peak (.*?) GB anonymous", printed, flags=re.MULTILINE))
    assert list(peaks) == ["sample_patches into the file", "batches of 1,000", "full passes"]
    assert printed.startswith("x: 20,000 x 2304 float32 in a file, 0.18 GB; k = 16\n")
    assert all(0.02 < float(peak) < 0.16 for peak in peaks.values())
    assert printed.count("  iteration 2: mean cosine 0.") == 2
