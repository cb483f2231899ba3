import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import DataError, DTypeError


def test_one_hot_returns_the_type_of_its_argument_and_checks_labels():
    assert type(ops.one_hot(Tensor([1, 0]), 2)) is Tensor
    assert type(ops.one_hot(np.array([1, 0]), 2)) is np.ndarray
    for labels, error in (
        (np.array([2]), DataError),
        (np.array([-1]), DataError),
        (np.array([0.5]), DTypeError),
    ):
        with pytest.raises(error, match="one_hot"):
            ops.one_hot(labels, 2)


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8"])
def test_labels_outside_the_classes_are_rejected(dtype):
    for loss in (ops.cross_entropy, ops.squared_hinge):
        with pytest.raises(DataError, match=r"expected class numbers 0 \.\. 1, got 0 \.\. 2"):
            loss(np.zeros((2, 2)), np.array([0, 2], dtype))
        if dtype != "uint8":
            with pytest.raises(DataError, match=r"expected class numbers 0 \.\. 1, got -1 \.\. 0"):
                loss(np.zeros((2, 2)), np.array([0, -1], dtype))
