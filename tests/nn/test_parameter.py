import copy
import pickle

import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import DTypeError
from tinygrad_ckn.nn import Parameter, Sphere


class Scaled(Parameter):
    __slots__ = ()


def test_it_is_a_leaf_that_requires_grad_and_copies_its_data() -> None:
    data = np.ones(3, np.float32)
    parameter = Parameter(data)
    data[0] = 7
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert parameter.constraint is None
    assert parameter.dtype == np.float32
    assert parameter.tolist() == [1, 1, 1]


def test_dtype_and_device_are_passed_on() -> None:
    assert Parameter([1, 2], dtype="float32").dtype == np.float32
    assert Parameter([1.0], device="cpu").device == "cpu"


def test_results_are_plain_tensors() -> None:
    assert type(Parameter([1.0]) + 1) is Tensor


def test_instances_have_no_dictionary() -> None:
    with pytest.raises(AttributeError):
        Parameter([1.0]).constrain = Sphere()  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        Parameter([1.0]).constraint = Sphere()  # type: ignore[misc]


@pytest.mark.parametrize("data", [[1, 2], [True], np.arange(3)])
def test_data_that_are_not_floating_are_rejected(data: object) -> None:
    with pytest.raises(DTypeError, match="expected a floating dtype"):
        Parameter(data)


@pytest.mark.parametrize("constraint", ["sphere", Sphere, lambda z: z])
def test_a_constraint_without_the_two_methods_is_rejected(constraint: object) -> None:
    with pytest.raises(
        DTypeError, match="argument constraint expected None or an object with the methods"
    ):
        Parameter([1.0], constraint=constraint)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))]
)
@pytest.mark.parametrize("requires_grad", [True, False])
def test_copies_and_pickles_keep_everything_but_the_gradient(
    duplicate, requires_grad: bool
) -> None:
    parameter = Scaled([[0.6, 0.8]], constraint=Sphere(), dtype="float32")
    (parameter * parameter).sum().backward()
    parameter.requires_grad = requires_grad
    twin = duplicate(parameter)
    assert type(twin) is Scaled
    assert twin.constraint == Sphere()
    assert twin.requires_grad == requires_grad
    assert twin.grad is None
    assert twin.dtype == np.float32
    np.testing.assert_array_equal(twin.numpy(), parameter.numpy())
    twin.data -= np.float32(1)
    assert parameter.numpy()[0, 0] == np.float32(0.6)
