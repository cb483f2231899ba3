"""Where NaN or infinity comes first on the way from a batch to the loss."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from tinygrad_ckn.backend import xp_of
from tinygrad_ckn.errors import GradientError, LinearAlgebraError
from tinygrad_ckn.grad_mode import no_grad
from tinygrad_ckn.graph import unwrap

if TYPE_CHECKING:
    from tinygrad_ckn.models.network import Network


def check_finite_arrays(arrays: Iterable[tuple[str, Any]]) -> None:
    """Raise a GradientError with the name of the first array in which there is NaN or infinity."""
    for name, x in arrays:
        array = unwrap(x)
        if not bool(xp_of(array).isfinite(array).all()):
            raise GradientError(f"first in {name}")


def raise_first_nonfinite(model: Network, batch: Any) -> None:
    """Raise a GradientError with the name of what is the first on the way to the loss to overflow or to be NaN."""
    with no_grad():
        check_finite_arrays(_intermediate_values(model, batch))


def describe_first_nonfinite(model: Network, batch: Any) -> str:
    """Return what `raise_first_nonfinite` says; where it finds nothing, it is the classifier's fit that failed."""
    try:
        raise_first_nonfinite(model, batch)
    except GradientError as found:
        return str(found)
    return "first in the classifier"


def _intermediate_values(model: Network, batch: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is computed from a batch on the way to the loss; maps squared, as the classifier's fit needs them."""
    x = batch
    yield "the images of the batch", x
    for i, layer in enumerate(model.layers):
        try:
            x = layer(x)
        except LinearAlgebraError as error:
            raise GradientError(f"first in the factor of layers.{i}") from error
        yield f"the map of layers.{i}", x * x
    yield "the classifier's scores", model.classifier(x.reshape((len(batch), -1)))
