"""Checks of images and labels; other arguments are checked by `tinygrad_ckn.checks`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_ckn import checks
from tinygrad_ckn.backend import (
    CPU,
    Array,
    Images,
    Labels,
    NDArray,
    Shape,
    Vectors,
    asarray,
    backend_of,
    is_array,
    to_numpy,
    xp_of,
)
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.errors import BackendError, ConfigError, DataError, DTypeError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.labels import as_labels
from tinygrad_ckn.lazy_images import is_lazy
from tinygrad_ckn.tensor import Tensor

# Number of images that are checked at a time.
_BLOCK = 1024


def check_floating(owner: str, images: Images) -> None:
    """Raise a DTypeError unless images are real floating-point numbers.

    Integers are refused because their scale would differ from that of [0, 1].
    """
    kind = unwrap(images).dtype.kind
    if kind == "c":
        raise DTypeError(
            f"{owner}: expected images of real numbers, got {images.dtype}; "
            "pass .real or both parts as channels"
        )
    if kind != "f":
        raise DTypeError(
            f"{owner}: expected images of dtype float32 or float64, got {images.dtype}; "
            "divide them by 255, or as the training images were, and pass float32"
        )


def check_maps(owner: str, x: Images, in_channels: int) -> None:
    """Check the input of a layer: floating, of shape (N, in_channels, H, W).

    Raises
    ------
    ShapeError, DTypeError
        If it is something else.
    """
    checks.array(owner, x=x)
    if len(x.shape) != 4 or x.shape[1] != in_channels:
        raise ShapeError(
            f"{owner}: expected images of shape (N, {in_channels}, H, W), got {tuple(x.shape)}"
        )
    check_floating(owner, x)


def check_layers(owner: str, layers: Sequence[Any], kind: type[Any]) -> None:
    """Raise a ConfigError unless layers are a non-empty sequence of objects of a class."""
    if isinstance(layers, kind):
        raise ConfigError(
            f"{owner}: argument layers expected a sequence of {kind.__name__}s, "
            f"got one {kind.__name__}; put it in a list"
        )
    if not layers or not all(isinstance(layer, kind) for layer in layers):
        raise ConfigError(
            f"{owner}: argument layers expected at least one {kind.__name__} and nothing else, "
            f"got {layers!r}"
        )


def check_device(owner: str, argument: str, array: Array, device: str) -> None:
    """Raise a BackendError unless an array is on a device."""
    actual = backend_of(unwrap(array)).device
    if actual != device:
        raise BackendError(
            f"{owner}: argument {argument} expected an array on {device!r}, as the others, "
            f"got one on {actual!r}; pass Tensor({argument}, device={device!r})"
        )


def _first_nonfinite(array: Array) -> int | None:
    """Return the index of the first row (n, ...) with NaN or infinity, None if all are finite."""
    finite = xp_of(array).isfinite(array).all(axis=tuple(range(1, array.ndim)))
    return None if bool(finite.all()) else int(finite.argmin())


def check_finite(owner: str, images: Images, start: int = 0) -> None:
    """Raise a DataError if images (N, ...), numbered from `start`, are not finite."""
    if is_lazy(images):
        # Each block is checked when it is read.
        return
    array = unwrap(images)
    # In blocks, because of the arrays of booleans.
    for rows in slices(len(array), _BLOCK if backend_of(array) is CPU else max(1, len(array))):
        bad = _first_nonfinite(array[rows])
        if bad is None:
            continue
        bad += rows.start
        raise DataError(
            f"{owner}: expected images of finite numbers, got NaN or infinity in image "
            f"{start + bad}; leave it out"
        )


def check_results(owner: str, results: Vectors, start: int = 0) -> None:
    """Raise a DataError if results (N, ...) for images numbered from `start` are not finite."""
    bad = _first_nonfinite(results)
    if bad is not None:
        raise DataError(
            f"{owner}: expected finite results for all images, got NaN or infinity for image "
            f"{start + bad}; scale it if its numbers are too large for {results.dtype}, or "
            "check the model's weights"
        )


def check_images(owner: str, x: Images, expected: Shape) -> Images:
    """Return images as an array or a Tensor; copied only if they are neither.

    Raises
    ------
    ShapeError
        If they are not of shape (N, *expected).
    DTypeError
        If they are not floating.
    """
    if not (isinstance(x, Tensor | np.ndarray) or is_array(x) or is_lazy(x)):
        x = asarray(x)
    if len(x.shape) != 4 or x.shape[1:] != expected:
        shape = ", ".join(map(str, expected))
        raise ShapeError(
            f"{owner}: argument images expected shape (N, {shape}), got {tuple(x.shape)}; "
            "reshape them, or build a model for their size"
        )
    check_floating(owner, x)
    return x


def host_labels(owner: str, labels: Labels, n: int, device: str) -> NDArray[Any]:
    """Return labels of n images as an array on the host: int64, bool or str.

    Labels on the host go with images on any device.

    Raises
    ------
    DataError
        If there is not exactly one for each image, n >= 1, or they are of another kind.
    BackendError
        If they are an array on a device other than that of the images.
    """
    array: Any = unwrap(labels) if isinstance(labels, Tensor) else labels
    if is_array(array):
        if backend_of(array) is not CPU:
            check_device(owner, "labels", array, device)
        array = to_numpy(array)
    values = as_labels(array, f"{owner}: argument labels")
    if len(values) != n or not n:
        raise DataError(
            f"{owner}: argument labels expected one for each of {n} images, n >= 1, "
            f"got {len(values)}; pass images and labels of the same length"
        )
    return values
