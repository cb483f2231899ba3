"""Locating the first NaN or infinity on the way from a batch to the loss."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tinygrad_ckn.backend import Array, NDArray, xp_of
from tinygrad_ckn.errors import GradientError, LinearAlgebraError
from tinygrad_ckn.grad_mode import no_grad
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.network_base import NetworkBase


def check_finite_arrays(arrays: Iterable[tuple[str, Array]]) -> None:
    """Raise a GradientError that names the first array with NaN or infinity."""
    for name, x in arrays:
        array = unwrap(x)
        if not bool(xp_of(array).isfinite(array).all()):
            raise GradientError(f"first in {name}")


def raise_first_nonfinite(model: NetworkBase, batch: NDArray[Any]) -> None:
    """Raise a GradientError that names the first intermediate array with NaN or infinity."""
    with no_grad():
        check_finite_arrays(_intermediate_values(model, batch))


def describe_first_nonfinite(model: NetworkBase, batch: NDArray[Any]) -> str:
    """Return the location that `raise_first_nonfinite` finds.

    If all intermediate arrays are finite, it was the classifier's fit that failed.
    """
    try:
        raise_first_nonfinite(model, batch)
    except GradientError as error:
        return str(error)
    return "first in the classifier"


def _intermediate_values(model: NetworkBase, batch: NDArray[Any]) -> Iterator[tuple[str, Array]]:
    """Yield the intermediate arrays from a batch to the scores, with their names.

    Maps are squared, because the classifier's fit needs their squares.
    """
    x: Array = batch
    yield "the images of the batch", x
    for i, layer in enumerate(model.layers):
        try:
            x = layer(x)
        except LinearAlgebraError as error:
            raise GradientError(f"first in the factor of layers.{i}") from error
        yield f"the map of layers.{i}", x * x
    yield "the classifier's scores", model.classifier(x.reshape((len(batch), -1)))
