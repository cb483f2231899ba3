from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info
from typer.testing import Result

from tinygrad_ckn import get_num_threads
from tinygrad_ckn.cli import common as _common
from tinygrad_ckn.cli import train as _train
from tinygrad_ckn.errors import ConfigError

Invoke = Callable[..., Result]


def test_paths_are_kept_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert _common.source_of("x.npz", None, {"scale": 2.0}) == {
        "data": f"{tmp_path}/x.npz",
        "data_dir": None,
        "reading": {"scale": 2.0},
    }
    assert _common.source_of("cifar10", Path("c"), {}) == {
        "reading": {},
        "data": "cifar10",
        "data_dir": f"{tmp_path}/c",
    }


def test_threads_limit_the_blas_and_the_pool(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    seen = []

    def look(*args: Any, **options: Any) -> None:
        seen.extend(
            library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
        )
        seen.append(get_num_threads())
        raise ConfigError("seen")

    monkeypatch.setattr(_train.loop, "train", look)
    before = get_num_threads()
    # One of them is not the default.
    for threads in (1, 2):
        seen.clear()
        assert invoke("train", "--threads", threads).exit_code == 1
        assert len(seen) > 1
        assert seen[-1] == threads
        assert max(seen) == threads
        assert get_num_threads() == before


@pytest.mark.parametrize(
    ("counts", "class_weight", "balanced"),
    [((2, 4), None, False), ((2, 9), None, True), ((2, 2), "balanced", True)],
)
def test_balanced_accuracy_is_told_before_the_last_line(counts, class_weight, balanced, capsys):
    first, second = counts
    _common.echo_accuracy(np.array([[first, 0], [1, second - 1]]), class_weight)
    *before, last = capsys.readouterr().out.splitlines()
    assert last.startswith("test accuracy 0.")
    mean = (1 + (second - 1) / second) / 2
    assert before == [f"balanced accuracy {mean:.4f}, the mean over classes"] * balanced
