"""Gradients on their way back: how those that meet at a node or a leaf are summed.

In an ordinary backward they are raw arrays, summed in place in buffers that the engine
owns. While rules are differentiated they are Tensors, and their sums are recorded.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from tinygrad_ckn.backend import is_array, xp_of
from tinygrad_ckn.graph import Node, Variable, Vertex
from tinygrad_ckn.scattered import Pending, Scattered


class Gradients:
    """Sums of gradients by vertex; raw arrays.

    Those of leaves and of `targets` go out to the user, and share memory with nothing.
    """

    records = False

    def __init__(self, targets: Collection[Vertex]) -> None:
        self._sums: dict[Vertex, Any] = {}
        # vertices whose sum is a buffer of the engine's own
        self._owned: set[Vertex] = set()
        self._targets = targets

    def add(self, vertex: Vertex, gradient: Any, g: Any, residuals: Sequence[Any] | None) -> None:
        """Add a gradient that a rule computed from g and residuals."""
        sums = self._sums
        if vertex not in sums:
            goes_out = isinstance(vertex, Variable) or vertex in self._targets
            if goes_out and _may_alias(gradient, g, residuals):
                gradient = gradient.copy()
            sums[vertex] = gradient
        elif vertex in self._owned:
            sums[vertex] += gradient
        else:
            sums[vertex] = sums[vertex] + gradient
            self._owned.add(vertex)

    def add_scattered(self, vertex: Vertex, gradient: Scattered) -> None:
        """Add a gradient that is zero except at an index."""
        before = self._sums.get(vertex)
        # of 0-d arrays NumPy makes scalars
        if vertex not in self._owned or not is_array(before):
            xp = xp_of(gradient.values)
            zeros = before is None
            buffer = xp.zeros(vertex.shape, dtype=vertex.dtype) if zeros else xp.array(before)
            self._sums[vertex] = buffer
            self._owned.add(vertex)
        gradient.add_to(self._sums[vertex])

    def pop(self, node: Node) -> Any:
        """Remove and return the sum at a node; None if nothing arrived there."""
        return self._sums.pop(node, None)

    def remaining(self) -> dict[Vertex, Any]:
        """Return the sums that were not removed."""
        return self._sums


class RecordedGradients(Gradients):
    """Sums of gradients by vertex; Tensors, so that their sums are recorded."""

    records = True

    def add(self, vertex: Vertex, gradient: Any, g: Any, residuals: Sequence[Any] | None) -> None:
        """Add a gradient."""
        sums = self._sums
        if vertex not in sums:
            sums[vertex] = gradient
        elif isinstance(sums[vertex], Pending):
            sums[vertex].add(gradient)
        else:
            sums[vertex] = sums[vertex] + gradient

    def add_scattered(self, vertex: Vertex, gradient: Scattered) -> None:
        """Add a gradient that is zero except at an index; it waits for others of its kind."""
        before = self._sums.get(vertex)
        if not isinstance(before, Pending):
            self._sums[vertex] = Pending(before)
        self._sums[vertex].add(gradient)

    def pop(self, node: Node) -> Any:
        """Remove and return the sum at a node; None if nothing arrived there."""
        return _total(super().pop(node))

    def remaining(self) -> dict[Vertex, Any]:
        """Return the sums that were not removed."""
        return {vertex: _total(gradient) for vertex, gradient in self._sums.items()}


def _total(gradient: Any) -> Any:
    return gradient.sum() if isinstance(gradient, Pending) else gradient


def _may_alias(gradient: Any, g: Any, residuals: Sequence[Any] | None) -> bool:
    """Return whether a gradient may be a view, or is what it was computed from."""
    if gradient is g or getattr(gradient, "base", None) is not None:
        return True
    for value in residuals or ():
        if value is gradient:
            return True
    return False
