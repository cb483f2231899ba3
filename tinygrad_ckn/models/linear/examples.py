"""The examples of a linear fit: their weights, and which are held out."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from tinygrad_ckn.backend import Generator, NDArray
from tinygrad_ckn.models.example_weights import check_weights
from tinygrad_ckn.models.linear.l2_search import held_out_indices

# Fewer examples are not split.
MIN_SPLIT = 10


class Examples:
    """The examples of a fit: their weights, of mean 1, and which are held out together.

    `counted` are the indices of those of weight > 0, None if that is all.
    """

    def __init__(
        self, n: int, sample_weight: NDArray[Any] | None, groups: NDArray[Any] | None
    ) -> None:
        self.n = n
        self.groups = groups
        self.counted: NDArray[np.intp] | None = None
        self.weights: NDArray[np.float64] | None = None
        if sample_weight is not None:
            weights = check_weights("fit_linear", sample_weight, n)
            self.weights = weights * (n / weights.sum())
            if not weights.all():
                self.counted = np.flatnonzero(weights)
                self.n = len(self.counted)
                self.groups = None if groups is None else groups[self.counted]

    def hold_out(self, rng: Generator) -> NDArray[np.intp]:
        """Return the indices of examples to hold out, none of weight 0."""
        held_out = held_out_indices(self.n, rng, self.groups)
        return held_out if self.counted is None else self.counted[held_out]

    def parts_to_calibrate_on(
        self,
        calibration: NDArray[np.intp] | None,
        chosen: NDArray[np.intp] | None,
        rng: Generator,
    ) -> list[NDArray[np.intp]]:
        """Return the indices of examples to calibrate on, part by part; may be empty."""
        if calibration is not None and self.weights is not None:
            calibration = calibration[self.weights[calibration] > 0]
        if calibration is not None and len(calibration):
            return [calibration]
        if chosen is not None:
            return [chosen]
        if self.n >= MIN_SPLIT:
            # The generator stays as it is, whether or not a fit is calibrated.
            return [self.hold_out(deepcopy(rng))]
        every = np.arange(self.n) if self.counted is None else self.counted
        return [every[i : i + 1] for i in range(self.n if self.n > 1 else 0)]
