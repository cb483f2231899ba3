"""How a data set is divided: into its own parts, other files, or a share held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tinygrad_ckn.checks import number
from tinygrad_ckn.files import PathLike

# The share of the images that becomes the test part of data without one.
TEST_FRACTION = 0.2


@dataclass(frozen=True)
class Division:
    """Where the test and the validation images of a data set come from.

    Parameters
    ----------
    test_data, validation_data : path or None
        Another file or folder, all of whose images are the test or the validation part.
    holdout : float or None
        Share of the images in [0, 1) that becomes the test part of data without one; 0:
        there is no test part. None: a fifth.
    """

    test_data: Annotated[
        PathLike | None,
        "Another file or folder, whose images are the test images; read as those of --data.",
    ] = None
    validation_data: Annotated[
        PathLike | None,
        "Another file or folder, whose images choose the best epoch of fine-tuning, in place of "
        "the share --validation, and calibrate probabilities. Default: the validation part of the "
        "data, if it has one.",
    ] = None
    holdout: Annotated[
        float | None,
        "Share of the images held out for testing, if the data have no test part; 0: train on "
        "all, and measure nothing. Default: 0.2.",
    ] = None

    def __post_init__(self) -> None:
        if self.holdout is not None:
            number("load", "holdout", self.holdout, "a number in [0, 1)", lambda x: 0 <= x < 1)

    @property
    def fraction(self) -> float:
        """The share to hold out for testing."""
        return TEST_FRACTION if self.holdout is None else float(self.holdout)
