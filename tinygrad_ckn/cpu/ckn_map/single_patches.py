"""Patches that the fused map computes one by one, with higher accuracy.

The square of a norm overflows and underflows long before the norm does; a NaN among the
pixels spreads through a product with a banded matrix; and a patch next to much longer
pixels gets their rounding error where Winograd's filtering mixes them. Such patches are
copied as rows and scaled by a power of two, and their cosines are those of unit
vectors. The tile is computed without the pixels that are too large.

b images, C channels, P patches, K = C*kh*kw, p filters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import parallel
from tinygrad_ckn.cpu.ckn_map.patch_products import PatchProducts
from tinygrad_ckn.cpu.correlate.recompute import window_maxima
from tinygrad_ckn.ops.ckn_map import zero_norm_threshold

# A patch is single if a pixel of its Winograd tile is longer by more than this factor.
MAX_NORM_RATIO = 2**5
# A gradient stands out if its norm exceeds the mean of a tile by more than this factor.
_MAX_GRADIENT_RATIO = 2**6
# Elements of patches copied at a time.
_MAX_COPIED = 2**20

# Images, rows and columns of patches, (P,) each.
Index: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


@dataclass(slots=True)
class Tile:
    """A tile of images, with the norms of its patches and the single patches.

    Attributes
    ----------
    padded
        Images as `PatchProducts` takes them.
    norms, inverses
        (b, Ho, Wo); the norm is 0 for a patch that is zero or not finite.
    single
        Mask of single patches (b, Ho, Wo), or None.
    original
        Unchanged images with border (b, C, Hp, Wp), if there are single patches.
    nonfinite
        Mask of patches that are not finite (b, Ho, Wo), or None.
    cached
        Indices and unit rows of the single patches, if few enough to be cached.
    """

    padded: NDArray[Any]
    norms: NDArray[Any]
    inverses: NDArray[Any]
    single: NDArray[Any] | None = None
    original: Any = None
    nonfinite: NDArray[Any] | None = None
    cached: tuple[Index, NDArray[Any]] | None = None


def measure_tile(x: NDArray[Any], products: PatchProducts[Any]) -> Tile:
    """Return the tile of images (b, H, W, C) with the norms of its patches."""
    padded = products.pad(x)
    pixels = products.pixel_squares(padded)
    (kh, kw), dtype = products.kernel, pixels.dtype
    limit = float(np.finfo(dtype).max) / (2**10 * kh * kw)
    original = padded
    too_large = None
    # False if there is a NaN.
    if not bool(pixels.max() <= limit):
        too_large = ~(pixels <= limit)
        padded = products.without(padded, too_large)
        pixels = np.where(too_large, 0, pixels)
    squares = products.patch_sums(pixels)
    is_zero = squares <= zero_norm_threshold(dtype)
    norms = np.sqrt(np.where(is_zero, 0, squares))
    tile = Tile(padded, norms, 1 / np.where(norms > 0, norms, 1))
    single = _find_single(products, original, pixels, squares, is_zero, too_large)
    if single is not None:
        tile.original = products.channels_first(original)
        _measure_single(tile, single, products)
    return tile


def _find_single(
    products: PatchProducts[Any],
    original: NDArray[Any],
    pixels: NDArray[Any],
    squares: NDArray[Any],
    is_zero: NDArray[Any],
    too_large: NDArray[Any] | None,
) -> NDArray[Any] | None:
    """Return the mask of single patches (b, Ho, Wo), or None."""
    masks = []
    if too_large is not None:
        masks.append(products.patch_sums(too_large.astype(pixels.dtype)) > 0)
    # Patches that underflow; those of zeros only are not single.
    if is_zero.any():
        tiny = products.nonzero_pixels(original) & (pixels <= zero_norm_threshold(pixels.dtype))
        if tiny.any():
            masks.append(is_zero & (products.patch_sums(tiny.astype(pixels.dtype)) > 0))
    single = np.logical_or.reduce(masks) if masks else None
    if products.step:
        uneven = _find_uneven(products, pixels, squares, too_large)
        if uneven is not None:
            uneven &= ~is_zero if single is None else ~is_zero | single
            single = uneven if single is None else single | uneven
    return single if single is not None and single.any() else None


def _find_uneven(
    products: PatchProducts[Any],
    pixels: NDArray[Any],
    squares: NDArray[Any],
    too_large: NDArray[Any] | None,
) -> NDArray[Any] | None:
    """Return the mask of patches in a Winograd tile with much longer pixels, or None."""
    if too_large is None and pixels.max() <= MAX_NORM_RATIO**2 * squares.min():
        return None
    step = products.step
    all_pixels = pixels if too_large is None else np.where(too_large, np.inf, pixels)
    height, width = squares.shape[1:]
    maxima = window_maxima(all_pixels, step + 2, step).repeat(step, 1).repeat(step, 2)
    uneven: NDArray[Any] = maxima[:, :height, :width] > MAX_NORM_RATIO**2 * squares
    return uneven


def _measure_single(tile: Tile, single: NDArray[Any], products: PatchProducts[Any]) -> None:
    """Set the norms of single patches."""
    tile.single = single
    parts = list(_parts(single, products))
    for at in parts:
        rows, norms = unit_rows(tile.original, at, products.kernel)
        tile.norms[at] = norms
        # Each block of filters needs them.
        tile.cached = (at, rows) if len(parts) == 1 else None
    tile.inverses[single] = 1
    nonfinite = ~np.isfinite(tile.norms)
    if nonfinite.any():
        tile.nonfinite = nonfinite
        tile.norms[nonfinite] = 0


def _parts(single: NDArray[Any], products: PatchProducts[Any]) -> Iterator[Index]:
    """Yield the indices of single patches, as many at a time as may be copied."""
    images, rows, columns = np.nonzero(single)
    elements = products.shape[1] * products.kernel[0] * products.kernel[1]
    for part in parallel.tiles(len(images), elements, limit=_MAX_COPIED):
        yield images[part], rows[part], columns[part]


def patch_rows(original: NDArray[Any], at: Index, kernel: tuple[int, int]) -> NDArray[Any]:
    """Return patches of images with border (b, C, Hp, Wp) as (P, C, kh, kw)."""
    windows = np.lib.stride_tricks.sliding_window_view(original, kernel, axis=(2, 3))
    rows: NDArray[Any] = windows[at[0], :, at[1], at[2]]
    return rows


def unit_rows(
    original: NDArray[Any], at: Index, kernel: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return patches as rows of norm 1 (P, K), and their norms (P,).

    Both are NaN for a patch that is not finite.
    """
    rows = patch_rows(original, at, kernel).reshape(len(at[0]), -1)
    with np.errstate(all="ignore"):
        # A power of two, so that squares neither overflow nor underflow.
        exponents = np.frexp(np.abs(rows).max(axis=1))[1]
        rows = np.ldexp(rows, -exponents[:, None])
        norms = np.sqrt(np.vecdot(rows, rows))
        return rows / norms[:, None], np.ldexp(norms, exponents)


def write_cosines(
    tile: Tile, products: PatchProducts[Any], z: NDArray[Any], shift: float, out: NDArray[Any]
) -> None:
    """Write <z, x> / |x| + shift of single patches to out; 0 for nonfinite ones.

    z (o, K) has filters as rows; out is (b, Ho, Wo, o).
    """
    if tile.cached is not None:
        at, rows = tile.cached
        out[at] = rows @ z.T + shift
    elif tile.single is not None:
        for at in _parts(tile.single, products):
            rows = unit_rows(tile.original, at, products.kernel)[0]
            out[at] = rows @ z.T + shift
    if tile.nonfinite is not None:
        out[tile.nonfinite] = 0


def outlying_gradients(g: NDArray[Any]) -> NDArray[Any] | None:
    """Return the mask (b, h, w) of gradients (b, h, w, p) that stand out, or None."""
    with np.errstate(all="ignore"):
        norms = np.sqrt(np.vecdot(g, g))
        if norms.max() <= _MAX_GRADIENT_RATIO * norms.mean():
            return None
        # NaN stands out too.
        mean = np.mean(norms, where=np.isfinite(norms))
        outlying: NDArray[Any] = ~(norms <= _MAX_GRADIENT_RATIO * mean)
        return outlying


def vjp(
    tile: Tile,
    products: PatchProducts[Any],
    single: NDArray[Any],
    z: NDArray[Any],
    ds: NDArray[Any],
    dnorms: NDArray[Any] | None,
    dx: NDArray[Any] | None,
    filters: bool,
) -> NDArray[Any] | None:
    """Add the gradient through single patches to dx; return that of the filters.

    Parameters
    ----------
    tile, products
        The tile, and its algorithm.
    single
        Mask of the patches (b, Ho, Wo).
    z
        Filters as rows (p, K).
    ds, dnorms
        Gradients of <z, x> (b, Ho, Wo, p) and |x| (b, Ho, Wo).
    dx
        Gradient of the images (b, H, W, C); None, and dnorms too: not needed.
    filters
        Whether the gradient of the filters is needed.

    Returns
    -------
    (p, C, kh, kw), or None if not needed
    """
    channels = tile.original.shape[1]
    dz = np.zeros((len(z), channels, *products.kernel), z.dtype) if filters else None
    for at in _parts(single, products):
        slopes = ds[at]
        if dz is not None:
            rows = patch_rows(tile.original, at, products.kernel).reshape(len(slopes), -1)
            dz += (slopes.T @ rows).reshape(dz.shape)
        if dx is not None and dnorms is not None:
            dpatches = slopes @ z
            unit, norms = unit_rows(tile.original, at, products.kernel)
            unit[norms == 0] = 0
            dpatches += dnorms[at][:, None] * unit
            _add_patches(dpatches, at, products, dx)
    return dz


def _add_patches(
    dpatches: NDArray[Any], at: Index, products: PatchProducts[Any], dx: NDArray[Any]
) -> None:
    """Add patches (P, K) to images (b, H, W, C) at their positions, without the border."""
    (top, left), (kh, kw) = products.before, products.kernel
    images, first_rows, first_columns = at
    dpatches = dpatches.reshape(len(dpatches), -1, kh, kw)
    for i in range(kh):
        for j in range(kw):
            rows = first_rows + i - top
            columns = first_columns + j - left
            inside = (rows >= 0) & (rows < dx.shape[1]) & (columns >= 0) & (columns < dx.shape[2])
            dx[images[inside], rows[inside], columns[inside]] += dpatches[inside, :, i, j]
