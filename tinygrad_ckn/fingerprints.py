"""Fingerprints of images: which of them a training has seen, which it held out, and which are equal.

A fingerprint is the first six bytes of BLAKE2b of an image's bytes: among 100,000
different images two agree with probability 2e-5. Files keep them as text, eight
characters an image.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.backend import to_numpy

# bytes
SIZE = 6


def fingerprints_of(images: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Return a number (n,) for each image (n, C, H, W); equal images have equal ones.

    Examples
    --------
    >>> numbers = fingerprints_of(np.zeros((2, 1, 4, 4), np.float32))
    >>> bool(numbers[0] == numbers[1])
    True
    """
    rows = (np.ascontiguousarray(image).data for image in images)
    digests = b"".join(hashlib.blake2b(row, digest_size=SIZE).digest() for row in rows)
    return _numbers(digests)


def groups_of_equal(images: Any) -> NDArray[np.int64] | None:
    """Return for each image the index of the first that equals it, (n,); None where all differ.

    Examples
    --------
    >>> groups_of_equal(np.array([1.0, 2.0, 1.0]).reshape(3, 1, 1, 1))
    array([0, 1, 0])
    """
    _, first, group = np.unique(
        fingerprints_of(to_numpy(images)), return_index=True, return_inverse=True
    )
    return None if len(first) == len(group) else first[group]


def whole_groups(held: NDArray[np.bool_], groups: NDArray[np.int64] | None) -> NDArray[np.bool_]:
    """Return which examples are held out (n,) if each is so with the first of its group; at least one on either side.

    Examples
    --------
    >>> whole_groups(np.array([True, False, False]), np.array([0, 1, 0]))
    array([ True, False,  True])
    """
    if groups is None:
        return held
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    together = held[first][group]
    return held if together.all() or not together.any() else together


def as_text(fingerprints: NDArray[np.int64]) -> str:
    """Return fingerprints as a string, eight characters each."""
    numbers = fingerprints.astype(">i8").view(np.uint8).reshape(-1, 8)
    return base64.b64encode(numbers[:, 8 - SIZE :].tobytes()).decode()


def from_text(text: str) -> NDArray[np.int64]:
    """Return the fingerprints that `as_text` wrote.

    Raises
    ------
    ValueError
        If the text is none that `as_text` writes.
    """
    digests = base64.b64decode(text, validate=True)
    if len(digests) % SIZE:
        raise ValueError(f"expected {SIZE} bytes an image, got {len(digests)}")
    return _numbers(digests)


def _numbers(digests: bytes) -> NDArray[np.int64]:
    """Return digests as integers."""
    rows = np.frombuffer(digests, dtype=np.uint8).reshape(-1, SIZE)
    padded = np.zeros((len(rows), 8), dtype=np.uint8)
    padded[:, 8 - SIZE :] = rows
    return padded.view(">i8")[:, 0].astype(np.int64)
