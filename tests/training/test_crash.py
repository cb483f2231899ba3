"""A part of scripts/crash.py: kills during writes, and disks that are too small."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "crash.py"


@pytest.fixture(scope="module")
def crash() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crash", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks itself up there.
    sys.modules["crash"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("function", "count", "where"), [("fsync", 14, "half"), ("replace", 8, "before")]
)
def test_a_kill_within_a_write_loses_nothing(
    crash: ModuleType, tmp_path: Path, function: str, count: int, where: str
) -> None:
    outcome = crash.kill_at_call(tmp_path / "run", function, count, where, epochs=4)
    assert outcome.problems == []
    assert outcome.epochs > 0
    assert {"checkpoint.safetensors", "last.safetensors"} < set(outcome.left)


def test_a_disk_that_is_too_small_loses_nothing(crash: ModuleType, tmp_path: Path) -> None:
    if not crash.can_mount():
        pytest.skip("mounting a tmpfs needs root and Linux")
    outcome = crash.fill_disk(tmp_path, 140, epochs=3)
    assert outcome.problems == []
    assert {"last.safetensors", "config.json", "metrics.jsonl"} == set(outcome.left)
