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
# With weights, how many folds are made of at most how many examples.
N_FOLDS = 5
MAX_FOLDED = 20_000


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

    def held_out_parts(
        self, labels: NDArray[np.integer[Any]], rng: Generator
    ) -> list[NDArray[np.intp]]:
        """Return the indices of examples to hold out, part by part, none of weight 0.

        Without weights they are one part, with weights five folds unless examples are
        many. `labels` (n,) are class numbers on the host.
        """
        if self.weights is None or self.n > MAX_FOLDED:
            held_out = held_out_indices(self.n, rng, self.groups)
            return [held_out if self.counted is None else self.counted[held_out]]
        every = np.arange(self.n) if self.counted is None else self.counted
        folds = _stratified(labels[every], self.groups, rng)
        return [every[folds == fold] for fold in np.unique(folds)]

    def parts_to_calibrate_on(
        self,
        calibration: NDArray[np.intp] | None,
        searched: list[NDArray[np.intp]],
        rng: Generator,
    ) -> list[NDArray[np.intp]]:
        """Return the indices of other examples to calibrate on than those of the search.

        They are those given, or if there was no search a tenth; of few examples each.
        """
        if calibration is not None and self.weights is not None:
            calibration = calibration[self.weights[calibration] > 0]
        if calibration is not None and len(calibration):
            return [calibration]
        if searched:
            return []
        if self.n >= MIN_SPLIT:
            # The generator stays as it is, whether or not a fit is calibrated.
            held_out = held_out_indices(self.n, deepcopy(rng), self.groups)
            return [held_out if self.counted is None else self.counted[held_out]]
        every = np.arange(self.n) if self.counted is None else self.counted
        numbers = np.arange(self.n) if self.groups is None else self.groups
        folds = [every[numbers == number] for number in np.unique(numbers)]
        return folds if len(folds) > 1 else []


def _stratified(
    labels: NDArray[np.integer[Any]], groups: NDArray[Any] | None, rng: Generator
) -> NDArray[np.intp]:
    """Return the fold (n,) of each example; classes have about the same share of all folds."""
    order = rng.permutation(len(labels))
    # By class, at random within a class; the next class goes on with the next fold.
    order = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(len(labels), np.intp)
    folds[order] = np.arange(len(labels)) % N_FOLDS
    if groups is not None:
        _, first, group = np.unique(groups, return_index=True, return_inverse=True)
        together = folds[first][group]
        if len(np.unique(together)) == 1 and len(first) > 1:
            together = group % N_FOLDS
        if len(first) > 1:
            folds = together
    return folds
