"""Gradients on their way back: how those that meet at a node or a leaf are summed.

In an ordinary backward they are raw arrays, summed in place in buffers that the engine
owns. While rules are differentiated they are Tensors, and their sums are recorded. A sum
that is complete goes through the hooks on its tensor.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from tinygrad_ckn import refusals
from tinygrad_ckn.backend import is_array, xp_of
from tinygrad_ckn.graph import Node, Variable, Vertex, unwrap
from tinygrad_ckn.hooks import GRADIENT_HOOKS
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
        g = self._sums.pop(node, None)
        return g if g is None or not GRADIENT_HOOKS else _hooked(node, g)

    def remaining(self) -> dict[Vertex, Any]:
        """Return the sums that were not removed."""
        if not GRADIENT_HOOKS:
            return self._sums
        return {vertex: _hooked(vertex, g) for vertex, g in self._sums.items()}


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
        if node in self._sums:
            self._sums[node] = _total(self._sums[node])
        return super().pop(node)

    def remaining(self) -> dict[Vertex, Any]:
        """Return the sums that were not removed."""
        self._sums = {vertex: _total(gradient) for vertex, gradient in self._sums.items()}
        return super().remaining()


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


def _hooked(vertex: Vertex, g: Any) -> Any:
    """Return what the hooks on a tensor make of its gradient, an array or a Tensor."""
    hooks = GRADIENT_HOOKS.get(id(vertex))
    recorded = isinstance(g, Variable)
    for function in list(hooks.functions.values()) if hooks is not None else ():
        # Arrays are copied: the user may keep or write into either tensor.
        new = function(g if recorded else Variable.wrap(xp_of(g).array(g)))
        if new is None:
            continue
        array = unwrap(new)
        if getattr(array, "shape", None) != vertex.shape or array.dtype != vertex.dtype:
            raise refusals.hooked_gradient(vertex.shape, vertex.dtype, new)
        own = xp_of(array).array(array)
        if not recorded:
            g = own
        else:
            g = new if isinstance(new, Variable) else Variable.wrap(own)
    return g
