"""What a network is given: images of its size and labels, checked."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import CPU, Shape, asarray, backend_of, is_array, to_numpy, xp_of
from tinygrad_ckn.errors import BackendError, DataError, DTypeError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.labels import as_labels
from tinygrad_ckn.tensor import Tensor


def check_floating(owner: str, images: Any) -> None:
    """Raise a DTypeError if images are not floating: the scale of integers would be another than that of [0, 1]."""
    if unwrap(images).dtype.kind == "c":
        raise DTypeError(
            f"{owner}: expected images of real numbers, got {images.dtype}; pass .real or both as channels"
        )
    if unwrap(images).dtype.kind != "f":
        raise DTypeError(
            f"{owner}: expected images of dtype float32 or float64, got {images.dtype}; divide them by 255, or as the "
            "training images were, and pass float32"
        )


def check_device(owner: str, argument: str, array: Any, device: str) -> None:
    """Raise a BackendError if an array is not on a device."""
    found = backend_of(unwrap(array)).device
    if found != device:
        raise BackendError(
            f"{owner}: argument {argument} expected an array on {device!r}, as the others, got one on {found!r}; "
            f"pass Tensor({argument}, device={device!r})"
        )


def check_finite(owner: str, images: Any, first: int = 0) -> None:
    """Raise a DataError if there is NaN or infinity in images (N, ...), of which the first has this number."""
    array = unwrap(images)
    finite = xp_of(array).isfinite(array).all(axis=tuple(range(1, array.ndim)))
    if not bool(finite.all()):
        bad = first + int(finite.argmin())
        raise DataError(
            f"{owner}: expected images of finite numbers, got NaN or infinity in image {bad}; leave it out"
        )


def check_results(owner: str, found: Any, first: int = 0) -> None:
    """Raise a DataError if what images give (N, ...) is not finite; the first of them has this number."""
    finite = xp_of(found).isfinite(found).all(axis=tuple(range(1, found.ndim)))
    if not bool(finite.all()):
        bad = first + int(finite.argmin())
        raise DataError(
            f"{owner}: expected images that give finite numbers, got NaN or infinity of image {bad}; scale it, if its "
            f"numbers are too large for {found.dtype}, or look at the model's weights"
        )


def check_images(owner: str, x: Any, expected: Shape) -> Any:
    """Return images as an array or a Tensor, not copied if they are one.

    Raises
    ------
    ShapeError
        If they are not of shape (N, *expected).
    DTypeError
        If they are integers, which are not scaled as the training images were.
    """
    if not (isinstance(x, Tensor | CPU.xp.ndarray) or is_array(x)):
        x = asarray(x)
    if len(x.shape) != 4 or x.shape[1:] != expected:
        raise ShapeError(
            f"{owner}: argument images expected shape (N, {', '.join(map(str, expected))}), got {tuple(x.shape)}; "
            "reshape them, or build a model for their size"
        )
    check_floating(owner, x)
    return x


def host_labels(owner: str, labels: Any, n: int, device: str) -> Any:
    """Return labels of n images as an array on the host: int64, bool or str.

    Raises
    ------
    DataError
        If there are none, or not one for each image, or they are of another kind.
    BackendError
        If they are an array on another device than the images; the host's go with any.
    """
    array = unwrap(labels) if isinstance(labels, Tensor) else labels
    if is_array(array):
        if backend_of(array) is not CPU:
            check_device(owner, "labels", array, device)
        array = to_numpy(array)
    values = as_labels(array, f"{owner}: argument labels")
    if len(values) != n or not n:
        raise DataError(
            f"{owner}: argument labels expected one for each of {n} images, n >= 1, got {len(values)}; "
            "give images and labels of one length"
        )
    return values
