import warnings

import pytest

from tinygrad_ckn.cli.warnings import warnings_shown
from tinygrad_ckn.errors import TrainingWarning


def test_warnings_of_a_training_are_lines_on_stderr_each_once(capsys: pytest.CaptureFixture[str]):
    with warnings_shown(str.lower):
        for message in ("fit: it FELL", "fit: it FELL", "train: it is full"):
            warnings.warn(message, TrainingWarning, stacklevel=1)
    found = capsys.readouterr()
    assert (found.out, found.err) == ("", "warning: fit: it fell\nwarning: train: it is full\n")


def test_other_warnings_are_not_changed():
    with warnings_shown(str), pytest.raises(DeprecationWarning):
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    with pytest.raises(TrainingWarning):
        warnings.warn("outside", TrainingWarning, stacklevel=1)
