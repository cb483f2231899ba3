"""Sets that a parameter stays on while it is trained; arrays of any backend."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tinygrad_ckn.backend import Array, backend_of
from tinygrad_ckn.errors import LinearAlgebraError, ShapeError


@runtime_checkable
class Constraint(Protocol):
    """A smooth set, given by its tangent spaces and a way back to it after a step.

    An optimiser replaces the gradient by `tangent(data, gradient)`, and after its step
    the data by `retract(data)`. Both return a new array of the shape and dtype of
    `data`, and change neither argument.
    """

    def tangent(self, data: Array, gradient: Array) -> Array:
        """Return the projection of `gradient` onto the tangent space at `data`."""
        ...

    def retract(self, data: Array) -> Array:
        """Return a point of the set near `data`."""
        ...


@dataclass(frozen=True, slots=True)
class Sphere:
    """Arrays (p, ...) whose rows, flattened over the other axes, are unit vectors.

    Source: Mairal 2016 (arXiv 1605.06265): the gradient of the filters is projected
    onto the tangent space, and the filters are normalised after each step.

    Examples
    --------
    >>> z = np.array([[3.0, 4.0], [0.0, -2.0]])
    >>> Sphere().retract(z)
    array([[ 0.6,  0.8],
           [ 0. , -1. ]])
    """

    def tangent(self, data: Array, gradient: Array) -> Array:
        """Return g - <g, z> z for each row z of the data and g of the gradient.

        Parameters
        ----------
        data
            Unit rows (p, ...).
        gradient
            Of the shape of `data`.

        Raises
        ------
        ShapeError
            If the data have no rows, or the gradient has another shape.

        Examples
        --------
        >>> Sphere().tangent(np.array([[1.0, 0.0]]), np.array([[5.0, 2.0]]))
        array([[0., 2.]])
        """
        if gradient.shape != data.shape:
            raise ShapeError(
                f"Sphere.tangent: argument gradient expected the data's shape {data.shape}, "
                f"got {gradient.shape}"
            )
        # (p, d)
        z = _rows("tangent", data)
        g = _rows("tangent", gradient)
        tangent = g - (g * z).sum(axis=1, keepdims=True) * z
        return tangent.reshape(data.shape)

    def retract(self, data: Array) -> Array:
        """Return the data with each row divided by its norm.

        Rows of any magnitude are normalised: their squares neither overflow nor
        underflow.

        Parameters
        ----------
        data
            Rows (p, ...).

        Raises
        ------
        ShapeError
            If the data have no rows.
        LinearAlgebraError
            If a row is zero or not finite, so that it has no direction; on a GPU such a
            row becomes NaN instead.
        """
        # (p, d)
        rows = _rows("retract", data)
        backend = backend_of(data)
        xp = backend.xp
        largest = xp.abs(rows).max(axis=1, keepdims=True)
        usable = xp.isfinite(largest) & (largest > 0)
        if not backend.asynchronous and not usable.all():
            i = int((~usable[:, 0]).argmax())
            kind = "a zero one" if float(largest[i, 0]) == 0 else "NaN or infinity"
            raise LinearAlgebraError(
                "Sphere.retract: argument data expected non-zero finite rows, "
                f"got {kind} at index {i}; "
                "draw it anew, or lower the learning rate that led there"
            )
        scaled = rows / (xp.where(usable, largest, math.nan) if backend.asynchronous else largest)
        scaled /= xp.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
        unit: Array = scaled.reshape(data.shape)
        return unit


def _rows(method: str, data: Array) -> Array:
    """Return (p, ...) as (p, d)."""
    if data.ndim < 1 or not data.size:
        raise ShapeError(
            f"Sphere.{method}: argument data expected rows (p, ...) of at least one element, "
            f"got shape {data.shape}"
        )
    return data.reshape(data.shape[0], math.prod(data.shape[1:]))
