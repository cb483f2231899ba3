"""Patches that the fused map takes one by one: what norms and products of a whole tile cannot give.

The squares of a norm overflow and underflow long before the norm does, a NaN among the
pixels of a product with a banded matrix is everywhere, and a patch beside pixels much
longer than itself has their rounding where Winograd's filtering mixes them. Such
patches are laid out as rows, scaled by a power of two, and their cosines taken from
unit vectors. The tile is computed without the pixels that are too large.

b images, C channels, P patches, K = C*kh*kw, p filters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import CPU
from tinygrad_ckn.cpu.ckn_map.patch_products import Products
from tinygrad_ckn.cpu.correlate.recompute import window_maxima
from tinygrad_ckn.ops.ckn_map import least_square

xp = CPU.xp

UNEVEN = (
    2**5
)  # norm of a pixel of a tile of Winograd's over that of a patch in it, beyond which that is taken singly
# norm of a position's gradient over the mean of a tile of images
_HOT = 2**6
# elements of patches laid out at a time
_TOGETHER = 2**20


@dataclass(slots=True)
class Measured:
    """A tile of images as `Products` take it, the norms of its patches, and the patches to be taken singly."""

    padded: Any
    # (b, Ho, Wo); 0 for a patch that is zero or not finite
    norms: Any
    inverses: Any
    # (b, Ho, Wo), bool; None: no patch
    singly: Any = None
    whole: Any = (
        # images with border (b, C, Hp, Wp), as they are, where a patch is taken singly
        None
    )
    # (b, Ho, Wo), bool: patches that are not finite; None: there are none
    lost: Any = None
    # indices and unit rows of the patches taken singly, where they are few enough to be kept
    kept: Any = None


def measured(x: Any, products: Products) -> Measured:
    """Return the tile of images (b, H, W, C)."""
    padded = products.padded(x)
    pixels = products.pixels(padded)
    (kh, kw), dtype = products.kernel, pixels.dtype
    limit = float(xp.finfo(dtype).max) / (2**10 * kh * kw)
    # NaN is not
    fitting = bool(pixels.max() <= limit)
    whole, large = padded, None
    if not fitting:
        large = ~(pixels <= limit)
        padded = products.without(padded, large)
        pixels = xp.where(large, 0, pixels)
    squares = products.sums(pixels)
    least = least_square(dtype)
    zero = squares <= least
    norms = xp.sqrt(xp.where(zero, 0, squares))
    found = Measured(padded, norms, 1 / xp.where(norms > 0, norms, 1))
    singly = _singly(products, whole, pixels, squares, zero, large)
    if singly is not None:
        found.whole = products.first(whole)
        _measure_singly(found, singly, products)
    return found


def _singly(
    products: Products, whole: Any, pixels: Any, squares: Any, zero: Any, large: Any
) -> Any:
    """Return which patches are to be taken one by one (b, Ho, Wo), or None."""
    singly = None
    if large is not None:
        singly = products.sums(large.astype(pixels.dtype)) > 0
    # of nothing but zeros they stay as they are
    if zero.any():
        tiny = products.any(whole) & (pixels <= least_square(pixels.dtype))
        if tiny.any():
            some = zero & (products.sums(tiny.astype(pixels.dtype)) > 0)
            singly = some if singly is None else singly | some
    if products.step:
        seen = pixels if large is None else xp.where(large, xp.inf, pixels)
        if large is not None or not seen.max() <= UNEVEN**2 * squares.min():
            height, width = squares.shape[1:]
            tiles = (
                window_maxima(seen, products.step + 2, products.step)
                .repeat(products.step, 1)
                .repeat(products.step, 2)
            )
            uneven = (tiles[:, :height, :width] > UNEVEN**2 * squares) & (
                ~zero if singly is None else ~zero | singly
            )
            singly = uneven if singly is None else singly | uneven
    return singly if singly is not None and singly.any() else None


def _measure_singly(found: Measured, singly: Any, products: Products) -> None:
    """Fill in the norms of patches that are taken singly."""
    found.singly = singly
    parts = _parts(singly, products)
    for at in parts:
        rows, norms = units(found.whole, at, products.kernel)
        found.norms[at] = norms
        # each block of filters asks for them
        found.kept = (at, rows) if len(parts) == 1 else None
    found.inverses[singly] = 1
    lost = ~xp.isfinite(found.norms)
    if lost.any():
        found.lost = lost
        found.norms[lost] = 0


def _parts(singly: Any, products: Products) -> list[tuple[Any, Any, Any]]:
    """Return images, rows and columns of the patches, some at a time."""
    at = xp.nonzero(singly)
    cuts = parallel.tiles(
        len(at[0]), products.shape[1] * products.kernel[0] * products.kernel[1], limit=_TOGETHER
    )
    return [(at[0][part], at[1][part], at[2][part]) for part in cuts]


def rows_of(whole: Any, at: tuple[Any, Any, Any], kernel: tuple[int, int]) -> Any:
    """Return patches of images with their border (b, C, Hp, Wp) as rows (P, C, kh, kw)."""
    windows = xp.lib.stride_tricks.sliding_window_view(whole, kernel, axis=(2, 3))
    return windows[at[0], :, at[1], at[2]]


def units(whole: Any, at: tuple[Any, Any, Any], kernel: tuple[int, int]) -> tuple[Any, Any]:
    """Return patches as rows of norm 1 (P, K), and their norms (P,); NaN where one is not finite."""
    rows = rows_of(whole, at, kernel).reshape(len(at[0]), -1)
    with xp.errstate(all="ignore"):
        exponents = xp.frexp(xp.abs(rows).max(axis=1))[
            1
        ]  # so that squares neither overflow nor underflow
        rows = xp.ldexp(rows, -exponents[:, None])
        norms = xp.sqrt(xp.vecdot(rows, rows))
        return rows / norms[:, None], xp.ldexp(norms, exponents)


def put_cosines(found: Measured, products: Products, z: Any, shift: float, out: Any) -> None:
    """Write <z, x> / |x| + shift of patches taken singly to out (b, Ho, Wo, o), for rows z (o, K); 0 of those lost."""
    again = (
        (at, units(found.whole, at, products.kernel)[0]) for at in _parts(found.singly, products)
    )
    for at, rows in again if found.kept is None else [found.kept]:
        out[at] = rows @ z.T + shift
    if found.lost is not None:
        out[found.lost] = 0


def hot(g: Any) -> Any:
    """Return where gradients (b, h, w, p) stand out: (b, h, w), bool; None: nowhere."""
    with xp.errstate(all="ignore"):
        sizes = xp.sqrt(xp.vecdot(g, g))
        if sizes.max() <= _HOT * sizes.mean():
            return None
        # NaN is among them
        return ~(sizes <= _HOT * xp.mean(sizes, where=xp.isfinite(sizes)))


def pull(
    found: Measured,
    products: Products,
    singly: Any,
    z: Any,
    ds: Any,
    dnorms: Any,
    dx: Any,
    wanted: bool,
) -> Any:
    """Go back through patches taken singly: add to dx (b, H, W, C), unless None; return dz (p, C, kh, kw) if wanted.

    ds (b, Ho, Wo, p) is the gradient of <z, x>, dnorms (b, Ho, Wo) that of |x|; z (p, K).
    """
    (top, left), (kh, kw) = products.before, products.kernel
    dz = xp.zeros((len(z), *found.whole.shape[1:2], kh, kw), z.dtype) if wanted else None
    for at in _parts(singly, products):
        slopes = ds[at]
        if dz is not None:
            dz += (
                slopes.T @ rows_of(found.whole, at, products.kernel).reshape(len(slopes), -1)
            ).reshape(dz.shape)
        if dx is None:
            continue
        columns = slopes @ z
        unit, norms = units(found.whole, at, products.kernel)
        unit[norms == 0] = 0
        columns += dnorms[at][:, None] * unit
        columns = columns.reshape(len(slopes), -1, kh, kw)
        for i in range(kh):
            for j in range(kw):
                rows, cols = at[1] + i - top, at[2] + j - left
                inside = (rows >= 0) & (rows < dx.shape[1]) & (cols >= 0) & (cols < dx.shape[2])
                dx[at[0][inside], rows[inside], cols[inside]] += columns[inside, :, i, j]
    return dz
