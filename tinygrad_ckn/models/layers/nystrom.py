"""The Nystrom factors (kappa(Z Z^T) + eps I)^(-1/2) of layers, and how much of a kernel their filters miss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinygrad_ckn import ops
from tinygrad_ckn.backend import asarray, backend_of, xp_of
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.grad_mode import no_grad
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.nn import Parameter

if TYPE_CHECKING:
    from tinygrad_ckn.models.layers.ckn_layer import CKNLayer

# elements of a map of patches held at a time
_BLOCK = 2**22
# 1 - kappa of two filters, below which they coincide
_COINCIDE = 1e-5


class Kept:
    """Factors that were computed, for as long as the parameters that they depend on stay what they are."""

    def __init__(self) -> None:
        # Array and version of each parameter, and the factors: one attribute, so that
        # no thread sees half of a change.
        self._kept: tuple[list[tuple[Any, int]], Sequence[Any] | None] = [], None

    def get(self, parameters: Sequence[Parameter]) -> Sequence[Any] | None:
        """Return the factors, if they are those of the parameters."""
        now = [(p.data, p.version) for p in parameters]
        of, found = self._kept
        same = len(now) == len(of) and all(
            a is b and i == j for (a, i), (b, j) in zip(now, of, strict=True)
        )
        return found if same else None

    def put(self, parameters: Sequence[Parameter], found: Sequence[Any]) -> None:
        """Keep the factors of the parameters."""
        self._kept = [(p.data, p.version) for p in parameters], [unwrap(factor) for factor in found]


def factors(layers: Sequence[CKNLayer]) -> list[Sequence[Any]]:
    """Return the factors (p/G, p/G) of each layer, one a group; those of a size in one stack: the threads share it.

    On the CPU they are solved for in float64: rounding of float32 is not small beside
    eps. They have the layer's dtype, but where filters coincide they stay in float64,
    for such a factor takes large numbers from each other.
    """
    found: list[Any] = [
        layer.kept.get(layer.factor_parameters) if layer.fixed else None for layer in layers
    ]
    stacks: dict[tuple[Any, ...], list[int]] = {}
    for i, layer in enumerate(layers):
        if found[i] is None:
            key = (
                layer.n_filters // layer.groups,
                layer.eps,
                layer.eps_convention,
                layer.weight.dtype,
            )
            stacks.setdefault(key, []).append(i)
    for (_, eps, convention, _), numbers in stacks.items():
        asynchronous = backend_of(unwrap(layers[numbers[0]].weight)).asynchronous
        grams = ops.concatenate(
            [layers[i].gram(None if asynchronous else "float64") for i in numbers]
        )
        roots = ops.inverse_sqrt(
            grams, eps=eps, convention=convention
        )  # (groups of all layers, p/G, p/G)
        careful = [not asynchronous and _coincide(gram) for gram in unwrap(grams)]
        start = 0
        for i in numbers:
            mine = range(start, start + layers[i].groups)
            found[i] = [
                roots[k] if careful[k] else roots[k].astype(layers[i].weight.dtype) for k in mine
            ]
            start += layers[i].groups
            if layers[i].fixed:
                layers[i].kept.put(layers[i].factor_parameters, found[i])
    return found


def _coincide(gram: Any) -> bool:
    """Tell whether there are filters that coincide, given kappa of each two (p, p)."""
    xp = xp_of(gram)
    return bool((gram - 2 * xp.eye(len(gram))).max() > 1 - _COINCIDE)


def transformed(factor: Any, y: Any) -> Any:
    """Return maps y (N, p, H, W) times a factor (p, p), computed in the factor's dtype, in that of y."""
    n, p, height, width = y.shape
    columns = y.reshape((n, p, height * width)).astype(factor.dtype)
    return ops.matmul(factor, columns).astype(y.dtype).reshape((n, p, height, width))


def nystrom_error(layer: CKNLayer, patches: Any) -> float:
    """Return the share of the kernel that a layer's filters miss on patches: 0 nothing, 1 everything.

    It is the relative error of the Gram matrix's trace, sum (K(x, x) - |psi(x)|^2) /
    sum K(x, x), K(x, x) = |x|^2, which bounds the error of each element in between
    (Williams and Seeger 2001; Mairal 2016, section 2).

    Parameters
    ----------
    layer
        With filters on which the kernel is projected.
    patches
        (n, C*kh*kw), not all zero, as `sample_patches` draws them.

    Raises
    ------
    ShapeError
        If the patches are not of the layer's size.
    DataError
        If they are all zero, or not finite.

    Examples
    --------
    >>> from tinygrad_ckn.models import CKNLayer
    >>> layer = CKNLayer(1, 1, (1, 2))
    >>> layer.set_filters([[1.0, 0.0]])
    >>> round(nystrom_error(layer, np.array([[5.0, 0.0]])), 3), nystrom_error(layer, np.array([[0.0, 5.0]])) > 0.9
    (0.001, True)
    """
    array = asarray(unwrap(patches), dtype=layer.weight.dtype, device=layer.weight.device)
    xp = xp_of(array)
    if not bool(xp.isfinite(array).all()):
        raise DataError(
            "nystrom_error: argument patches expected finite numbers, got NaN or infinity; leave them out"
        )
    kept = whole = 0.0
    step = max(1, _BLOCK // layer.n_filters)
    with no_grad():
        for start in range(0, len(array), step):
            block = array[start : start + step]
            kept += float(xp.square(unwrap(layer.embed(block))).sum(dtype="float64"))
            centred = block if layer.center is None else block - layer.center.data.reshape(-1)
            whole += float(xp.square(centred).sum(dtype="float64"))
    if not whole > 0:
        raise DataError(
            "nystrom_error: argument patches expected some that are not zero, got none; draw more"
        )
    return (whole - kept) / whole
