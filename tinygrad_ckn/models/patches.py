"""Patches drawn uniformly at random from all images and all positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tinygrad_ckn.backend import Generator, is_whole, xp_of
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.layer import CKNLayer

_SPARE = 1.5  # draws for each patch wanted: zero patches are left out


def blocks(n: int, elements: int, limit: int = 2**24) -> Iterator[slice]:
    """Cut n images into slices of which the largest map, `elements` an image, has at most `limit` elements."""
    step = max(1, limit // max(1, elements))
    return (slice(i, min(i + step, n)) for i in range(0, n, step))


def sample_patches(
    images: Any, layer: CKNLayer, n_patches: int, *, rng: Generator, encode: Callable[[Any], Any] | None = None
) -> Any:
    """Return up to `n_patches` patches of a layer's input that are not zero, as rows (n, C*kh*kw).

    Parameters
    ----------
    images
        Array (N, C, H, W).
    layer
        Says which patches there are: kernel size and padding.
    encode
        Makes the layer's input of images; only images of which a patch was drawn are encoded, in blocks.
    rng
        Generator.

    Raises
    ------
    ConfigError
        If n_patches is no whole number of at least 1.
    """
    if not is_whole(n_patches, 1):
        raise ConfigError(f"sample_patches: argument n_patches expected a whole number >= 1, got {n_patches!r}")
    xp = xp_of(images)
    some = images[:1] if encode is None else encode(images[:1])
    height, width = layer.windows.output_size(some.shape[2:])
    places = height * width
    draws = rng.integers(0, len(images) * places, size=int(_SPARE * n_patches))
    draws.sort()
    numbers, where = draws // places, draws % places
    found = []
    drawn = sorted(set(numbers.tolist()))
    for block in blocks(len(drawn), layer.in_channels * places * layer.kernel_size[0] * layer.kernel_size[1]):
        chosen = drawn[block]
        maps = images[xp.asarray(chosen)] if encode is None else encode(images[xp.asarray(chosen)])
        windows = layer.windows.view(xp, layer.windows.pad(xp, maps))  # (n, C, Ho, Wo, kh, kw)
        mine = slice(*numbers.searchsorted([chosen[0], chosen[-1] + 1]))
        row = xp.searchsorted(xp.asarray(chosen), xp.asarray(numbers[mine]))
        y, x = xp.asarray(where[mine] // width), xp.asarray(where[mine] % width)
        patches = windows[row, :, y, x].reshape(len(row), -1)
        found.append(patches[xp.any(patches != 0, axis=1)])
    patches = xp.concatenate(found)
    if len(patches) > n_patches:
        patches = patches[xp.asarray(rng.choice(len(patches), n_patches, replace=False))]
    return patches
