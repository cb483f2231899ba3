"""Patches drawn uniformly at random from all images and all positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from tinygrad_ckn.backend import CPU, Generator, default_rng, is_whole, xp_of
from tinygrad_ckn.errors import ConfigError, DataError, ShapeError
from tinygrad_ckn.models.layers.ckn_layer import CKNLayer
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.profiling import record_function

# draws for each patch wanted: some are left out
_SPARE = 1.5
# that an image is encoded for, at least
_DRAWS_AN_IMAGE = 8
# times eps and the largest value: what is smaller may be rounding of 0
_ROUNDING = 64
# elements of patches taken at a time
_BLOCK = 2**22


def blocks(n: int, elements: int, limit: int = 2**24) -> Iterator[slice]:
    """Cut n images into slices of which the largest map, `elements` an image, has at most `limit` elements."""
    step = max(1, limit // max(1, elements))
    return (slice(i, min(i + step, n)) for i in range(0, n, step))


def check_count(n_patches: Any) -> None:
    """Raise a ConfigError if this is no number of patches."""
    if not is_whole(n_patches, 1):
        raise ConfigError(
            f"sample_patches: argument n_patches expected an integer >= 1, got {n_patches!r}"
        )


@record_function("sample patches")
@plain_arguments
def sample_patches(
    images: Any,
    layer: CKNLayer,
    n_patches: int,
    *,
    rng: Generator | int | None = None,
    encode: Callable[[Any], Any] | None = None,
    out: Any = None,
) -> Any:
    """Return up to `n_patches` patches of a layer's input, as rows (n, C*kh*kw).

    Zero patches are left out; so are constant patches of images (no `encode`), each
    channel of which has one value at all positions, unless the kernel is 1x1; both up
    to 64 eps of the largest value, as rounding, of whitening say, makes of them. Of 1.5
    times as many draws, what remains is a uniform sample of the others. With `encode`,
    which takes longer than all the rest, they are drawn from a uniform sample of the
    images: as many as leave 8 draws each.

    Parameters
    ----------
    images
        Array (N, C, H, W).
    layer
        Says which patches there are: kernel size, padding, stride and dilation.
    rng
        Generator or seed; None: the package's, see `manual_seed`.
    encode
        Makes the layer's input of images, in blocks.
    out
        Array (n_patches, C*kh*kw) of the dtype of the layer's input to fill, of which
        the first n rows are returned, or None for a new one. It may lie in a file
        (numpy.memmap). Beyond it, memory is needed for a block only.

    Raises
    ------
    ConfigError
        If n_patches is not an integer of at least 1.
    ShapeError
        If `out` has another shape or dtype, or the layer's input is not of its channels.
    DataError
        If there are no images, or NaN or infinity in one that is drawn.

    Examples
    --------
    >>> images = np.zeros((10, 1, 8, 8))
    >>> images[:, :, 2:] = 1  # an edge: what does not touch it is constant
    >>> layer = CKNLayer(1, 4, (2, 1), padding="valid")
    >>> np.unique(sample_patches(images, layer, 90, rng=np.random.default_rng(0)), axis=0)
    array([[0., 1.]])
    """
    check_count(n_patches)
    if not len(images):
        raise DataError("sample_patches: argument images expected at least one image, got none")
    xp, rng = xp_of(images), default_rng(rng)
    some = images[:1] if encode is None else encode(images[:1])
    if some.ndim != 4 or some.shape[1] != layer.in_channels:
        raise ShapeError(
            f"sample_patches: expected images (N, {layer.in_channels}, H, W), got {tuple(some.shape)}"
        )
    height, width = layer.windows.output_size(some.shape[2:])
    places = height * width
    kh, kw = layer.kernel_size
    shape = n_patches, layer.in_channels * kh * kw
    kept = xp.empty(shape, dtype=some.dtype) if out is None else out
    if kept.shape != shape or kept.dtype != some.dtype:
        raise ShapeError(
            f"sample_patches: argument out expected shape {shape} and dtype {some.dtype}, "
            f"got {kept.shape} and {kept.dtype}"
        )
    constant_too = encode is None and kh * kw > 1
    n_draws = int(_SPARE * n_patches)
    few = len(images) if encode is None else -(-n_draws // _DRAWS_AN_IMAGE)
    source = CPU.xp.arange(len(images))
    if few < len(images):
        source = CPU.xp.sort(rng.choice(source, few, replace=False))
    draws = rng.integers(0, len(source) * places, size=n_draws)
    draws.sort()
    # ascending, as both are
    numbers, where = source[draws // places], draws % places
    drawn = CPU.xp.unique(numbers)
    found = 0
    for block in blocks(len(drawn), places * shape[1]):
        chosen = drawn[block]
        maps = images[xp.asarray(chosen)] if encode is None else encode(images[xp.asarray(chosen)])
        flat = _ROUNDING * xp.finfo(maps.dtype).eps * float(xp.abs(maps).max())
        if not math.isfinite(flat):
            raise DataError(
                "sample_patches: argument images expected finite numbers, got NaN or infinity; leave them out"
            )
        # (n, C, Ho, Wo, kh, kw)
        windows = layer.windows.view(xp, layer.windows.pad(xp, maps))
        first, last = numbers.searchsorted([chosen[0], chosen[-1] + 1])
        for part in blocks(last - first, shape[1], _BLOCK):
            mine = slice(first + part.start, first + part.stop)
            row, y, x = (
                chosen.searchsorted(numbers[mine]),
                where[mine] // width,
                where[mine] % width,
            )
            # (n, C, kh, kw)
            patches = windows[xp.asarray(row), :, xp.asarray(y), xp.asarray(x)]
            contrast = patches - patches[:, :, :1, :1] if constant_too else patches
            patches = patches[xp.any(xp.abs(contrast) > flat, axis=(1, 2, 3))]
            taken, rows = _reservoir(found, len(patches), n_patches, rng)
            kept[xp.asarray(rows)] = patches[xp.asarray(taken)].reshape(len(rows), shape[1])
            found += len(patches)
    return kept[:found]


def _reservoir(seen: int, new: int, size: int, rng: Generator) -> tuple[Any, Any]:
    """Return which of `new` things that come after `seen` are kept, and in which of `size` places, ascending.

    Vitter, Random Sampling with a Reservoir (1985), Algorithm R: thing i, counted from
    0, goes to place i, where there is one, else to one of 0 .. i at random, where there
    is one. What is kept is a uniform sample, however many come.
    """
    xp = CPU.xp
    order = xp.arange(seen, seen + new)
    places = xp.where(order < size, order, rng.integers(0, order + 1))
    # of each place the last that came
    rows, backwards = xp.unique(places[::-1], return_index=True)
    return new - 1 - backwards[rows < size], rows[rows < size]
