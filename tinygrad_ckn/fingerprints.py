"""Fingerprints of images, to recognise equal images and those seen in training.

A fingerprint is the first six bytes of BLAKE2b of an image's bytes: among 100,000
different images two have the same fingerprint with probability 2e-5. Files keep them as
text, eight characters per image.
"""

from __future__ import annotations

import base64
import hashlib

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.backend import Images, to_numpy
from tinygrad_ckn.lazy_images import is_lazy

# Bytes of a fingerprint.
SIZE = 6


def fingerprints_of(images: Images) -> NDArray[np.int64]:
    """Return a number per image (n, C, H, W), (n,); equal images have equal numbers.

    The images may be on any device, or lazy.

    Examples
    --------
    >>> numbers = fingerprints_of(np.zeros((2, 1, 4, 4), np.float32))
    >>> bool(numbers[0] == numbers[1])
    True
    """
    if is_lazy(images):
        return images.of_each(fingerprints_of)
    rows = (np.ascontiguousarray(image).data for image in to_numpy(images))
    digests = b"".join(hashlib.blake2b(row, digest_size=SIZE).digest() for row in rows)
    return _numbers(digests)


def equal_numbers(fingerprints: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return for each number the index of the first equal one, (n,); None if all differ."""
    _, first, group = np.unique(fingerprints, return_index=True, return_inverse=True)
    return None if len(first) == len(group) else first[group]


def as_text(fingerprints: NDArray[np.int64]) -> str:
    """Return fingerprints as a string of eight characters each."""
    numbers = fingerprints.astype(">i8").view(np.uint8).reshape(-1, 8)
    return base64.b64encode(numbers[:, 8 - SIZE :].tobytes()).decode()


def from_text(text: str) -> NDArray[np.int64]:
    """Return the fingerprints that `as_text` wrote.

    Raises
    ------
    ValueError
        If `as_text` cannot have written the text.
    """
    digests = base64.b64decode(text, validate=True)
    if len(digests) % SIZE:
        raise ValueError(f"expected {SIZE} bytes per image, got {len(digests)}")
    return _numbers(digests)


def _numbers(digests: bytes) -> NDArray[np.int64]:
    """Return digests as integers."""
    rows = np.frombuffer(digests, dtype=np.uint8).reshape(-1, SIZE)
    padded = np.zeros((len(rows), 8), dtype=np.uint8)
    padded[:, 8 - SIZE :] = rows
    return padded.view(">i8")[:, 0].astype(np.int64)
