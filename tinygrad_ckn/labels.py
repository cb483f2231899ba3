"""Labels of any kind as class numbers, by one rule for files, `fit` and `accuracy`.

Integers, strings and booleans are labels. Their sorted distinct values are the classes,
numbered from 0; `predict` returns the values. Floats without a fractional part count as
integers, as tables often store integers; a column (n, 1) counts as (n,).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.backend import Labels
from tinygrad_ckn.errors import DataError

Label: TypeAlias = int | str | bool
MAX_CLASSES = 65_536
# Maximum number of characters of a label.
MAX_LENGTH = 200

_KINDS = {bool: "booleans", int: "integers", str: "strings"}


def as_labels(labels: Labels, source: str) -> NDArray[Any]:
    """Return labels as an array (n,) of int64, bool or str.

    Parameters
    ----------
    labels
        A list, a pandas Series or an array on the host, of shape (n,) or (n, 1).
    source : str
        Name of the labels in error messages.

    Raises
    ------
    DataError
        For another shape, mixed types, missing labels, and numbers that are not
        integers.

    Examples
    --------
    >>> as_labels([2.0, -1.0], "labels")
    array([ 2, -1])
    >>> as_labels(["cat", "dog"], "labels")
    array(['cat', 'dog'], dtype='<U3')
    """
    array = _host_array(labels, source)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(
            f"{source}: expected labels of shape (n,), got {array.dtype} of shape {array.shape}; "
            "give one label per image (numpy.argmax(labels, axis=1) of one-hot rows)"
        )
    if array.dtype.kind == "O":
        return _of_one_kind(array.tolist(), source)
    if array.dtype.kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{source}: expected labels in UTF-8, got others ({error}); decode them first"
            ) from error
    if array.dtype.kind in "Ub":
        return array
    if array.dtype.kind not in "iuf":
        raise DataError(
            f"{source}: expected labels that are integers, strings or booleans, got {array.dtype}; "
            "convert them"
        )
    wrong = ~_is_whole(array)
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(
            f"{source}: expected labels that are integers, strings or booleans, got {array[first]} "
            f"at index {first}; give each image a class"
        )
    return array.astype(np.int64)


def classes_of(
    labels: NDArray[Any], source: str, n_classes: int | None = None
) -> tuple[Label, ...]:
    """Return the sorted classes of labels.

    Parameters
    ----------
    labels : NDArray, shape (n,)
        From `as_labels`.
    source : str
        Name of the labels in error messages.
    n_classes : int, optional
        The number of classes. Labels that are class numbers 0 .. n_classes - 1 then
        stand for themselves, even if some never occur.

    Raises
    ------
    DataError
        For more classes than n_classes, for fewer that are not class numbers, and for
        more than 65,536.

    Examples
    --------
    >>> classes_of(np.array([1, -1, 1]), "labels"), classes_of(np.array([3, 0]), "labels", 10)[-1]
    ((-1, 1), 9)
    """
    distinct: list[Label] = np.unique(labels).tolist()
    if len(distinct) > MAX_CLASSES:
        raise DataError(
            f"{source}: expected at most {MAX_CLASSES:,} classes, got {len(distinct):,} different "
            "labels; are they indices of the images?"
        )
    unnamed = [label for label in distinct if isinstance(label, str) and not is_name(label)]
    if unnamed:
        raise DataError(
            f"{source}: expected labels of printable characters, got {unnamed[0][:40]!r}; give "
            "each image a class"
        )
    if n_classes is None or len(distinct) == n_classes:
        return tuple(distinct)
    if labels.dtype.kind == "i" and len(labels) and labels.min() >= 0 and labels.max() < n_classes:
        return tuple(range(n_classes))
    shown = f"{len(distinct)} different ones: {_listed(distinct)}" if distinct else "none"
    raise DataError(
        f"{source}: expected labels of {n_classes} classes, or class numbers 0 .. {n_classes - 1}, "
        f"got {shown}; build the model for as many classes as there are"
    )


def class_numbers(labels: NDArray[Any], classes: Sequence[Label], source: str) -> NDArray[np.int64]:
    """Return the class number of each label, (n,).

    Raises
    ------
    DataError
        For a label that is not among the classes.

    Examples
    --------
    >>> class_numbers(np.array(["dog", "cat"]), ("cat", "dog"), "labels")
    array([1, 0])
    """
    known = np.array(classes)
    if known.dtype.kind != labels.dtype.kind:
        raise DataError(
            f"{source}: expected labels that are {_KINDS[type(classes[0])]}, as those of the "
            f"training images ({_listed(classes)}), got {labels.dtype}; give those"
        )
    order = np.argsort(known, kind="stable")
    places = np.minimum(np.searchsorted(known, labels, sorter=order), len(known) - 1)
    numbers = order[places]
    wrong = known[numbers] != labels
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(
            f"{source}: expected labels of the classes {_listed(classes)}, got "
            f"{labels[first].item()!r} at index {first}; leave its image out, or train with such "
            "images"
        )
    return numbers.astype(np.int64)


def check_lengths(labels: Sequence[Any], source: str) -> None:
    """Raise a DataError for a long string: an array reserves its length for each label."""
    for index, label in enumerate(labels):
        if isinstance(label, str | bytes) and len(label) > MAX_LENGTH:
            raise DataError(
                f"{source}: expected labels of at most {MAX_LENGTH} characters, got {len(label):,} "
                f"at index {index}; shorten it"
            )


def is_name(value: object) -> bool:
    """Return whether a value can name a class: a printable string, not blank."""
    return isinstance(value, str) and value.isprintable() and not value.isspace() and value != ""


def label_values(numbers: NDArray[np.integer[Any]], classes: Sequence[Label]) -> NDArray[Any]:
    """Return the labels of class numbers, the inverse of `class_numbers`."""
    values: NDArray[Any] = np.array(classes)[numbers]
    return values


def _host_array(labels: Labels, source: str) -> NDArray[Any]:
    """Return labels as an array; elements of a mixed list keep their types."""
    if isinstance(labels, list | tuple) and len({type(label) for label in labels}) > 1:
        # NumPy would convert all of them to one type.
        array = np.empty(len(labels), dtype=object)
        array[:] = [label.item() if isinstance(label, np.generic) else label for label in labels]
        return array
    if isinstance(labels, list | tuple):
        check_lengths(labels, source)
    try:
        return np.asarray(labels)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{source}: expected labels of shape (n,), got {type(labels).__name__} ({error})"
        ) from error


def _of_one_kind(labels: list[Any], source: str) -> NDArray[Any]:
    """Return Python objects as labels."""
    check_lengths(labels, source)
    kinds = [_kind(label) for label in labels]
    if len(set(kinds)) == 1 and kinds[0] is not None:
        return np.array(labels, dtype=kinds[0])
    first = next(i for i, kind in enumerate(kinds) if kind is None or kind is not kinds[0])
    raise DataError(
        f"{source}: expected labels of one kind, integers, strings or booleans, got "
        f"{labels[first]!r} at index {first}; give each image a class"
    )


def _kind(label: object) -> type[Label] | None:
    """Return the type of an object as a label, None if it is not a label."""
    if isinstance(label, bool | str):
        return bool if isinstance(label, bool) else str
    return int if isinstance(label, int | float) and bool(_is_whole(np.array(label))) else None


def _is_whole(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which numbers are integers of 64 bits, elementwise; False for NaN."""
    if array.dtype.kind == "f":
        # float16 cannot hold the limit.
        array = array.astype(np.float64, copy=False)
        whole: NDArray[np.bool_] = (array == np.floor(array)) & (np.abs(array) < 2**53)
        return whole
    return array <= np.iinfo(np.int64).max


def _listed(values: Sequence[Label]) -> str:
    """Return values as text: all of a few, otherwise the first three and the last."""
    shown = [repr(value) for value in values]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:3], "...", shown[-1]])
