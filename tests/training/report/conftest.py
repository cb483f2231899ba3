import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import Dataset, Split, load_digits
from tinygrad_ckn.errors import TrainingWarning
from tinygrad_ckn.training import Result, Run, train

HOSTILE = "<script>alert(1)</script> & \"quoted\" 'cat'"


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A short training whose classes have hostile names."""
    digits = load_digits()
    chosen = np.arange(120)
    names = (HOSTILE, *(f"digit {number}" for number in range(1, 10)))
    some = Dataset(
        "digits",
        digits.train.take(chosen),
        Split(digits.test.images[:60].copy(), digits.test.labels[:60].copy()),
        10,
        names,
    )
    with warnings.catch_warnings():
        # Of 12 images held out, one more mistake is a fall of 8 points.
        warnings.simplefilter("ignore", TrainingWarning)
        return train(
            some,
            mode="supervised",
            epochs=2,
            lr=0.02,
            seed=3,
            n_patches=300,
            iterations=3,
            out=tmp_path_factory.mktemp("report") / "run",
        )


@pytest.fixture
def copied(reported: Result, tmp_path: Path) -> Callable[..., Run]:
    """A function that copies the run without some files."""

    def copy(*without: str) -> Run:
        folder = tmp_path / "copy"
        folder.mkdir()
        for path in reported.run.folder.iterdir():
            if path.name not in without:
                (folder / path.name).write_bytes(path.read_bytes())
        return Run.open(folder)

    return copy


@pytest.fixture
def edited(copied: Callable[..., Run]) -> Callable[..., Run]:
    """A function that copies the run with changed fields of test.json."""

    def edit(**fields: object) -> Run:
        run = copied()
        path = run.folder / "test.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))
        return run

    return edit
