"""Gradients that are zero except at an index, summed in one buffer.

Each row of `for row in x` has a gradient of the size of x that is zero outside the row.
Allocating and adding these arrays would be quadratic in the number of rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_ckn.backend import Array, Index, NDArray, Shape


class Scattered:
    """A gradient that is `values` at an index and zero elsewhere; a rule may return one.

    Not an abstract base class: isinstance would take ten times as long in each backward.
    """

    def __init__(self, shape: Shape, index: Index, values: Array) -> None:
        self.shape = shape
        self.index = index
        # an array, or a Tensor where rules are differentiated
        self.values = values

    @property
    def nbytes(self) -> int:
        """Size of the values."""
        raw: Any = getattr(self.values, "_data", self.values)
        return int(raw.nbytes)

    def __rmul__(self, factor: float) -> Scattered:
        """Scale the values by a number."""
        return type(self)(self.shape, self.index, factor * self.values)

    def add_to(self, buffer: NDArray[Any]) -> None:
        """Add the values to a raw array of the whole shape, in place."""
        raise NotImplementedError

    def dense(self, parts: Sequence[Scattered]) -> Array:
        """Return the sum of several parts of one shape as one Tensor."""
        raise NotImplementedError


class Pending:
    """A gradient while rules are differentiated: a Tensor and scattered parts to be added.

    Parts wait until they have as many elements as the whole, so that time and memory
    stay linear in what is added.
    """

    __slots__ = ("_elements", "_parts", "_total")

    def __init__(self, total: Array | None = None) -> None:
        self._total = total
        self._parts: list[Scattered] = []
        self._elements = 0

    def add(self, gradient: Array | Scattered) -> None:
        """Add a Tensor or a scattered part."""
        if not isinstance(gradient, Scattered):
            self._total = gradient if self._total is None else self._total + gradient
            return
        self._parts.append(gradient)
        self._elements += math.prod(gradient.values.shape)
        if self._elements >= math.prod(gradient.shape):
            self._total, self._parts, self._elements = self.sum(), [], 0

    def sum(self) -> Array | None:
        """Return everything as one Tensor."""
        if not self._parts:
            return self._total
        parts = self._parts[0].dense(self._parts)
        return parts if self._total is None else self._total + parts
