"""Weights of examples, from those of their classes and their own.

An example of weight 2 counts as two, one of weight 0 not at all. Weights of classes are
scikit-learn's: "balanced" gives each class the same share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_ckn import checks
from tinygrad_ckn.backend import NDArray, is_array, to_numpy
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.labels import Label
from tinygrad_ckn.tensor import Tensor

# Labels without an entry have weight 1.
ClassWeight: TypeAlias = Literal["balanced"] | Mapping[Label, float]
# (n,), in float64 on the host.
Weights = NDArray[np.float64]


def example_weights(
    owner: str,
    numbers: NDArray[np.integer[Any]],
    classes: Sequence[Label],
    class_weight: ClassWeight | None,
    sample_weight: ArrayLike | Tensor | None,
) -> Weights | None:
    """Return the weight of each example: that of its class times its own.

    Parameters
    ----------
    owner
        The class or operation, which begins messages.
    numbers
        Class numbers (n,) on the host.
    classes
        The label of each class.
    class_weight
        Weights >= 0 by label, 1 for labels left out. "balanced": n / (k count) of the k
        classes that occur, n and counts being sums of `sample_weight`. None: 1 for all.
    sample_weight
        Numbers (n,) >= 0. None: 1 for all.

    Returns
    -------
    array or None
        (n,), float64, on the host; None if all are equal.

    Raises
    ------
    ConfigError
        If class_weight is something else, or has an unknown label.
    DataError
        If sample_weight is not one finite number >= 0 for each example, or fewer than two
        classes have an example of weight > 0.

    Examples
    --------
    >>> example_weights("fit", np.array([0, 0, 0, 1]), ("cat", "dog"), "balanced", None)
    array([0.66666667, 0.66666667, 0.66666667, 2.        ])
    >>> example_weights("fit", np.array([0, 1, 1]), ("cat", "dog"), {"cat": 3.0}, [1, 1, 0])
    array([3., 1., 0.])
    """
    n = len(numbers)
    weights = np.ones(n)
    if sample_weight is not None:
        weights = check_weights(owner, sample_weight, n)
    if class_weight is not None:
        counts: Weights = np.bincount(numbers, weights, len(classes)).astype("float64")
        weights = weights * _of_classes(owner, class_weight, classes, counts)[numbers]
    counted = np.unique(numbers[weights > 0])
    if len(counted) < 2:
        left = repr(classes[counted[0]]) if len(counted) else "none"
        raise DataError(
            f"{owner}: expected weights > 0 for examples of two classes or more, got them for "
            f"{left} alone; give others weight too"
        )
    return None if bool((weights == weights[0]).all()) else weights


def check_weights(owner: str, weights: ArrayLike | Tensor, n: int) -> Weights:
    """Return the argument sample_weight as an array (n,), in float64 on the host.

    Raises
    ------
    DataError
        If it is not one finite number >= 0 for each of n examples, not all 0.
    """
    name = f"{owner}: argument sample_weight"
    try:
        given: Any = unwrap(weights) if isinstance(weights, Tensor) else weights
        array = to_numpy(given) if is_array(given) else np.asarray(given)
    except (ValueError, TypeError) as error:
        raise DataError(f"{name} expected {n} numbers, got {error}") from error
    if array.shape != (n,) or array.dtype.kind not in "fiub":
        raise DataError(
            f"{name} expected {n} numbers, one for each example, got {array.dtype} of shape "
            f"{array.shape}"
        )
    values = array.astype("float64")
    wrong = ~((values >= 0) & (values < np.inf))
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(
            f"{name} expected finite numbers >= 0, got {values[first]:g} at index {first}; give "
            "examples that are not to count weight 0"
        )
    if not values.any():
        raise DataError(f"{name} expected some numbers > 0, got zero for each of {n} examples")
    return values


def check_class_weight(owner: str, class_weight: object) -> None:
    """Raise a ConfigError unless it is "balanced", numbers >= 0 by label, or None."""
    if class_weight is None or (isinstance(class_weight, str) and class_weight == "balanced"):
        return
    if not isinstance(class_weight, Mapping):
        raise ConfigError(
            f"{owner}: argument class_weight expected 'balanced', a mapping of labels to numbers "
            f"or None, got {class_weight!r}"
        )
    for label, weight in class_weight.items():
        checks.number(
            owner,
            f"class_weight[{label!r}]",
            weight,
            "a finite number >= 0",
            lambda x: 0 <= x < float("inf"),
        )


def _of_classes(
    owner: str, class_weight: ClassWeight, classes: Sequence[Label], counts: Weights
) -> Weights:
    """Return the weight of each class (k,), where `counts` (k,) are sums of weights."""
    check_class_weight(owner, class_weight)
    if not isinstance(class_weight, Mapping):
        present = counts > 0
        balanced = np.zeros(len(classes))
        balanced[present] = counts.sum() / (present.sum() * counts[present])
        return balanced
    # True == 1.
    numbers = {(isinstance(label, bool), label): i for i, label in enumerate(classes)}
    of_classes = np.ones(len(classes))
    for key, weight in class_weight.items():
        label = key.item() if isinstance(key, np.generic) else key
        number = numbers.get((isinstance(label, bool), label))
        if number is None:
            raise ConfigError(
                f"{owner}: argument class_weight expected labels of the classes "
                f"{', '.join(map(repr, classes[:20]))}, got {key!r}; leave it out"
            )
        of_classes[number] = weight
    return of_classes
