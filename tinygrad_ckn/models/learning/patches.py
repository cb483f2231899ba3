"""Patches drawn uniformly at random from all images and all positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Generator, NDArray, default_rng, xp_of
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.errors import DataError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.batched import image_blocks
from tinygrad_ckn.models.layers.ckn_layer import CKNLayer
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.profiling import record_function

# Draws per requested patch; some are left out.
_OVERSAMPLING = 1.5
# Draws per image that make encoding it worthwhile.
_DRAWS_PER_IMAGE = 8
# Times eps and the largest value: smaller differences may be rounding of 0.
_ROUNDING = 64
# Elements of patches taken at a time.
_BLOCK = 2**22


class _Draws(NamedTuple):
    """Randomly drawn patches: ascending indices of their images, and their positions."""

    images: NDArray[np.intp]
    positions: NDArray[np.intp]


def check_count(n_patches: int) -> None:
    """Raise a ConfigError unless a number of patches is an integer >= 1."""
    checks.integers("sample_patches", n_patches=n_patches)


@record_function("sample patches")
@plain_arguments
def sample_patches(
    images: NDArray[Any],
    layer: CKNLayer,
    n_patches: int,
    *,
    rng: Generator | int | None = None,
    encode: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return up to `n_patches` random patches of a layer's input, as rows (n, C*kh*kw).

    Zero patches are left out. So are constant patches of images (without `encode`), which
    have one value per channel at all positions, unless the kernel is 1x1. Both are
    recognised up to 64 eps of the largest value, to allow for rounding, of whitening for
    example. From 1.5 times as many draws the remaining patches are a uniform sample. With
    `encode`, which takes most of the time, they come from a uniform sample of the images,
    with 8 draws from each.

    Parameters
    ----------
    images : array
        (N, C, H, W).
    layer : CKNLayer
        Its kernel size, padding, stride and dilation define the patches.
    n_patches : int
        Maximum number of patches.
    rng : Generator, int or None, default None
        Generator or seed. None: the package's generator, see `manual_seed`.
    encode : callable or None, default None
        Computes the layer's input from a block of images. None: it is the images.
    out : array or None, default None
        Array (n_patches, C*kh*kw) of the input's dtype to fill, whose first n rows are
        returned. It may lie in a file (numpy.memmap); other memory holds one block only.
        None: a new array.

    Raises
    ------
    ConfigError
        If n_patches is not an integer >= 1.
    ShapeError
        If `out` has another shape or dtype, or the input does not have the layer's
        channels.
    DataError
        If there are no images, or a drawn one contains NaN or infinity.

    Examples
    --------
    >>> images = np.zeros((10, 1, 8, 8))
    >>> images[:, :, 2:] = 1  # an edge; patches away from it are constant
    >>> layer = CKNLayer(1, 4, (2, 1), padding="valid")
    >>> np.unique(sample_patches(images, layer, 90, rng=np.random.default_rng(0)), axis=0)
    array([[0., 1.]])
    """
    check_count(n_patches)
    if not len(images):
        raise DataError("sample_patches: argument images expected at least one image, got none")
    generator = default_rng(rng)
    first = images[:1] if encode is None else encode(images[:1])
    if first.ndim != 4 or first.shape[1] != layer.in_channels:
        raise ShapeError(
            f"sample_patches: expected images (N, {layer.in_channels}, H, W), "
            f"got {tuple(first.shape)}"
        )
    size = layer.windows.output_size(first.shape[2:])
    shape = n_patches, layer.in_channels * math.prod(layer.kernel_size)
    patches = xp_of(images).empty(shape, dtype=first.dtype) if out is None else out
    if patches.shape != shape or patches.dtype != first.dtype:
        raise ShapeError(
            f"sample_patches: argument out expected shape {shape} and dtype {first.dtype}, "
            f"got {patches.shape} and {patches.dtype}"
        )
    draws = _draw(len(images), math.prod(size), n_patches, encode is not None, generator)
    return _fill(patches, _drawn_patches(images, layer, draws, size, encode), generator)


def _draw(n_images: int, n_positions: int, n_patches: int, encoded: bool, rng: Generator) -> _Draws:
    """Draw images and positions with replacement."""
    n_draws = int(_OVERSAMPLING * n_patches)
    n_sources = -(-n_draws // _DRAWS_PER_IMAGE) if encoded else n_images
    sources = np.arange(n_images)
    if n_sources < n_images:
        sources = np.sort(rng.choice(sources, n_sources, replace=False))
    draws = rng.integers(0, len(sources) * n_positions, size=n_draws)
    draws.sort()
    # Ascending, because the draws and the sources are.
    return _Draws(sources[draws // n_positions], draws % n_positions)


def _drawn_patches(
    images: NDArray[Any],
    layer: CKNLayer,
    draws: _Draws,
    size: tuple[int, int],
    encode: Callable[[NDArray[Any]], NDArray[Any]] | None,
) -> Iterator[NDArray[Any]]:
    """Yield the drawn patches that are not left out, block by block: (n, C, kh, kw)."""
    xp = xp_of(images)
    height, width = size
    patch_size = layer.in_channels * math.prod(layer.kernel_size)
    drop_constant = encode is None and math.prod(layer.kernel_size) > 1
    drawn = np.unique(draws.images)
    for block in image_blocks(len(drawn), height * width * patch_size):
        chosen = drawn[block]
        maps = images[xp.asarray(chosen)]
        if encode is not None:
            maps = encode(maps)
        tolerance = _ROUNDING * xp.finfo(maps.dtype).eps * float(xp.abs(maps).max())
        if not math.isfinite(tolerance):
            raise DataError(
                "sample_patches: argument images expected finite numbers, got NaN or infinity; "
                "leave them out"
            )
        # (n, C, Ho, Wo, kh, kw)
        windows: NDArray[Any] = unwrap(layer.windows.view(xp, layer.windows.pad(xp, maps)))
        start, stop = draws.images.searchsorted([chosen[0], chosen[-1] + 1])
        for part in slices(int(stop - start), max(1, _BLOCK // patch_size)):
            rows = slice(start + part.start, start + part.stop)
            image = chosen.searchsorted(draws.images[rows])
            y, x = np.divmod(draws.positions[rows], width)
            # (n, C, kh, kw)
            patches = windows[xp.asarray(image), :, xp.asarray(y), xp.asarray(x)]
            contrast = patches - patches[:, :, :1, :1] if drop_constant else patches
            yield patches[xp.any(xp.abs(contrast) > tolerance, axis=(1, 2, 3))]


def _fill(out: NDArray[Any], blocks: Iterator[NDArray[Any]], rng: Generator) -> NDArray[Any]:
    """Fill an array with a uniform sample of patches (n, C, kh, kw); return the filled rows."""
    xp = xp_of(out)
    n_patches, patch_size = out.shape
    count = 0
    for patches in blocks:
        taken, rows = _reservoir(count, len(patches), n_patches, rng)
        chosen = patches[xp.asarray(taken)]
        out[xp.asarray(rows)] = chosen.reshape(len(rows), patch_size)
        count += len(patches)
    return out[:count]


def _reservoir(
    seen: int, new: int, size: int, rng: Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which of `new` items replace which of `size` places, after `seen` items.

    Vitter, Random Sampling with a Reservoir (1985), Algorithm R: item i, counted from 0,
    goes to place i if that exists, otherwise to a random one of 0 .. i if that exists. The
    places hold a uniform sample of all items at any time. Places are ascending.
    """
    order = np.arange(seen, seen + new)
    places = np.where(order < size, order, rng.integers(0, order + 1))
    # For each place the last item that goes there.
    rows, backwards = np.unique(places[::-1], return_index=True)
    return new - 1 - backwards[rows < size], rows[rows < size]
