"""Images to train on and to validate on, and which of them stay together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_ckn.backend import Array, Generator, Images, Labels, NDArray, to_numpy
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.fingerprints import equal_numbers, fingerprints_of
from tinygrad_ckn.groups import joined
from tinygrad_ckn.labels import as_labels
from tinygrad_ckn.models.learning.objective import LabelledImages
from tinygrad_ckn.models.learning.state import Course, Identity, SavedState
from tinygrad_ckn.models.network_base import NetworkBase

# Images and labels of a validation set, as `fit` takes them.
ValidationData = tuple[Images, Labels]
Groups = Array | Sequence[int] | Sequence[str]


class TrainingSet(NamedTuple):
    """Images to train on, preprocessed, and what is known of them.

    Attributes
    ----------
    labelled : LabelledImages
        Images after preprocessing, class numbers, and weights of mean 1 or None.
    groups : array or None
        (N,) on the host: images that stay on one side of a split have equal numbers.
        None: all images differ, and no groups were given.
    fingerprints : array
        Of the images before preprocessing, (N,).
    validation : LabelledImages or None
        The validation set that was given.
    digests : dict[str, str]
        SHA-256 of the groups and the validation set, by the name of the argument, if they
        were given.
    """

    labelled: LabelledImages
    groups: NDArray[Any] | None
    fingerprints: NDArray[np.int64]
    validation: LabelledImages | None = None
    digests: dict[str, str] = {}  # noqa: RUF012  # never changed


def course_of(
    model: NetworkBase,
    training: TrainingSet,
    options: Mapping[str, Any],
    rng: Generator,
    saved: SavedState | None,
) -> Course:
    """Return the course of a training, from its beginning or from a saved state.

    `options` are the arguments of `fit` that change its result.
    """
    known = {"model": model.config(), **options, **training.digests}
    if known["descent"] is not None:
        known["descent"] = known["descent"].config()
    images = training.labelled
    identity = Identity(
        training.fingerprints, images.labels, images.weights, json.loads(json.dumps(known))
    )
    if saved is None:
        return Course(model, identity, rng)
    return Course.resumed(model, identity, rng, saved)


def counted(training: LabelledImages) -> LabelledImages:
    """Return the images of weight > 0, with weights of mean 1, or None if they are equal."""
    rows = np.flatnonzero(to_numpy(training.weights))
    positive = training if len(rows) == len(training.labels) else training.take(rows)
    weights: Any = positive.weights
    equal = bool((weights == weights[0]).all())
    return positive._replace(weights=None if equal else weights / weights.mean())


def check_groups(
    owner: str, groups: Groups, n: int, weights: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Return the groups of n images of weight > 0, on the host: integers, strings or booleans.

    Raises
    ------
    DataError
        For another number or type of them, and if all are one group.
    """
    source = f"{owner}: argument groups"
    values = as_labels(groups, source)
    if len(values) != n:
        raise DataError(f"{source} expected {n} groups, one per image, got {len(values)}")
    if weights is not None:
        values = values[to_numpy(weights) > 0]
    if len(np.unique(values)) < 2:
        raise DataError(
            f"{source} expected two groups or more, got only {values[0]!r}; leave it out"
        )
    return values


def together(
    owner: str, groups: NDArray[Any] | None, fingerprints: NDArray[np.int64]
) -> NDArray[Any] | None:
    """Return numbers (n,) that are equal for images of one group, and for equal images.

    None: all images differ, and have no groups.

    Raises
    ------
    DataError
        If copies of images join all groups to one.
    """
    if groups is None:
        return equal_numbers(fingerprints)
    numbers = joined(groups, fingerprints)
    if not numbers.any():
        raise DataError(
            f"{owner}: argument groups expected two groups or more without equal images in both, "
            "got groups that are all joined by copies of images; remove the copies"
        )
    return numbers


def digest_of(*arrays: NDArray[Any]) -> str:
    """Return the SHA-256 of arrays, in hexadecimal digits."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def digests_of(
    groups: NDArray[Any] | None, validation: tuple[Images, NDArray[Any]] | None
) -> dict[str, str]:
    """Return the digests of the groups and of a validation set, where there are any."""
    digests = {}
    if groups is not None:
        # Numbers in the order of their first images, whatever the type of the groups.
        _, first, number = np.unique(groups, return_index=True, return_inverse=True)
        digests["groups"] = digest_of(first[number])
    if validation is not None:
        images, labels = validation
        digests["validation_data"] = digest_of(fingerprints_of(images), to_numpy(labels))
    return digests
