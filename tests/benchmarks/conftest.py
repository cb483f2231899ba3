import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks.measure import Measured, Result
from benchmarks.suite import OURS, Case, Side


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module `fake_sides`, which the processes of sides can import as well."""
    folder = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", folder)
    return importlib.import_module("fake_sides")


@pytest.fixture
def case_of(fakes: ModuleType):
    """Make a case of sides that double some numbers."""

    def make(*sides: Side, **options) -> Case:
        options = {"rounds": 2, "steps": 3, "tolerances": {"doubled": 1e-6}, **options}
        return Case("doubling", sides, lambda: {"numbers": np.arange(1.0, 5.0)}, **options)

    return make


def made_up(name: str = "a step", group: str = "", unit: str = "") -> Result:
    """Return a result with round numbers.

    Ours takes 2 ms and 10 MB, the peers 4 ms and 1 ms, 20 MB and 0.
    """
    case = Case(
        name,
        [Side(OURS, print, units=4), Side("slow", print, units=8), Side("fast", print, units=8)],
        dict,
        tolerances={"map": 1e-4},
        targets={"slow": 0.6, "fast": 0.6},
        memory_targets={"slow": 0.4},
        mean_targets={"slow": 0.4},
        group=group,
        unit=unit,
    )
    sides = [
        Measured(
            OURS,
            [0.001, 0.002, 0.003],
            {"map": 1e-6},
            50_000_000,
            10_000_000,
            ["openblas, 2 threads"],
        ),
        Measured(
            "slow",
            [0.004] * 3,
            {"map": 3e-5},
            90_000_000,
            20_000_000,
            malloc={"MALLOC_MMAP_MAX_": "0"},
        ),
        Measured("fast", [0.001] * 3, {"map": 0.0}, None, None),
    ]
    return Result(case, 2, sides, {"absent": "it is not installed"})


@pytest.fixture(name="made_up")
def made_up_fixture():
    return made_up
