"""The Nystrom approximation across layers: factors in one stack, and its error."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_ckn import checks, ops
from tinygrad_ckn.backend import Array, DType, Vectors, asarray, xp_of
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.grad_mode import no_grad
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.layers.ckn_layer import CKNLayer
from tinygrad_ckn.models.layers.factors import EpsConvention, nystrom_factors

# Elements of psi computed at a time.
_BLOCK = 2**22


def stacked_factors(layers: Sequence[CKNLayer]) -> list[list[Array]]:
    """Return the factors of each layer, one (p/G, p/G) per group.

    Matrices of one size are factored as one stack, which the threads share. Cached
    factors are reused.
    """
    factors: dict[int, list[Array]] = {}
    stacks: dict[tuple[int, float, EpsConvention, DType], list[int]] = {}
    for i, layer in enumerate(layers):
        cacheable = layer.factors_cacheable
        cached = layer.factor_cache.get(layer.factor_parameters) if cacheable else None
        if cached is not None:
            factors[i] = cached
            continue
        key = layer.n_filters // layer.groups, layer.eps, layer.eps_convention, layer.weight.dtype
        stacks.setdefault(key, []).append(i)
    for (_, eps, eps_convention, dtype), numbers in stacks.items():
        grams = ops.concatenate([layers[i].gram() for i in numbers])
        stack = nystrom_factors(grams, eps=eps, eps_convention=eps_convention, dtype=str(dtype))
        for i in numbers:
            factors[i], stack = stack[: layers[i].groups], stack[layers[i].groups :]
            if layers[i].factors_cacheable:
                layers[i].factor_cache.put(layers[i].factor_parameters, factors[i])
    return [factors[i] for i in range(len(layers))]


def nystrom_error(layer: CKNLayer, patches: Vectors) -> float:
    """Return the share of the kernel that a layer's filters miss on some patches.

    It is the relative error of the trace of the Gram matrix, sum (K(x, x) - |psi(x)|^2)
    / sum K(x, x) with K(x, x) = |x|^2, and bounds the error of each element in between
    (Williams and Seeger 2001; Mairal 2016, section 2).

    Parameters
    ----------
    layer : CKNLayer
        The layer whose filters span the approximation.
    patches : array or Tensor
        (n, C*kh*kw), not all zero, such as `sample_patches` draws.

    Returns
    -------
    float
        0: the filters represent the kernel exactly; 1: they miss all of it.

    Raises
    ------
    ShapeError
        If the patches do not have the layer's size.
    DataError
        If they are all zero, or not finite.

    Examples
    --------
    >>> from tinygrad_ckn.models import CKNLayer
    >>> layer = CKNLayer(1, 1, (1, 2))
    >>> layer.set_filters([[1.0, 0.0]])
    >>> round(nystrom_error(layer, np.array([[5.0, 0.0]])), 3)
    0.001
    >>> nystrom_error(layer, np.array([[0.0, 5.0]])) > 0.9
    True
    """
    array = asarray(unwrap(patches), dtype=layer.weight.dtype, device=layer.weight.device)
    checks.finite("nystrom_error", hint="leave them out", patches=array)
    xp = xp_of(array)
    captured = 0.0
    total = 0.0
    with no_grad():
        for rows in slices(len(array), max(1, _BLOCK // layer.n_filters)):
            block = array[rows]
            captured += float(xp.square(unwrap(layer.embed(block))).sum(dtype="float64"))
            centred = block if layer.center is None else block - layer.center.data.reshape(-1)
            total += float(xp.square(centred).sum(dtype="float64"))
    if not total > 0:
        raise DataError(
            "nystrom_error: argument patches expected at least one nonzero patch, got none; "
            "draw more"
        )
    return (total - captured) / total
