import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
from benchmarks import breakdown
breakdown.STEPS, breakdown.IMAGES = 1, 2
breakdown.main("ckn5", "{work}")
"""


@pytest.mark.parametrize("work", ["train", "encode"])
def test_shares_of_all_clocks_add_up(work):
    """Run in a separate process, because the clocks stay installed."""
    root = Path(__file__).parents[2]
    code = CODE.format(work=work)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    first, *rows, last = done.stdout.splitlines()
    assert first.startswith(f"ckn5, {work}, 2 images, one thread: ")
    shares = {row[:30].strip(): float(row[30:].split("ms")[1].split("%")[0]) for row in rows}
    products = {name for name in shares if name.startswith("products: ")}
    assert products == {
        f"products: {kind}"
        for kind in ("Winograd", "unfolded", "transform, pooling", "pooling, norms")
    }
    assert {"kappa", "norms", "borders", "all else"} < set(shares)
    assert abs(sum(shares.values()) - 100) < 1
    assert abs(sum(shares[name] for name in products) - float(last.split()[1])) < 1
