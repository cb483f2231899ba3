"""The contract of an operation, by operations that break one clause each."""

import numpy as np
import pytest

from tinygrad_ckn import ops
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.primitive import Array
from tinygrad_ckn.testing.contract import check_contract

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


def doubled(xp, x: Array):
    return x * 2


def changes_its_argument(xp, x: Array):
    result = x * 2
    x[...] = 0
    return result


def always_float64(xp, x: Array):
    return x.astype("float64") * 2


def depends_on_strides(xp, x: Array):
    return x * x.strides[-1]


def twice(g):
    return g * 2


def twice_in_place(g):
    g *= 2
    return g * 1


def test_an_operation_that_keeps_the_contract_passes(op):
    check_contract(ops.multiply, [X, X + 1])
    check_contract(op(doubled, x=twice), [X])


@pytest.mark.parametrize(
    ("forward", "rule", "sentence"),
    [
        (changes_its_argument, twice, "argument 0 expected to stay unchanged"),
        (doubled, twice_in_place, "the upstream gradient expected to stay unchanged"),
        (doubled, lambda g: g * 2 + 1, "expected to be linear in the upstream gradient"),
        (always_float64, twice, "float32 arguments expected a float32 result, got float64"),
        (doubled, lambda g: g * (2 if g.dtype == "float64" else 3), "close to those of float64"),
        (depends_on_strides, twice, "strided arguments expected to give the same results"),
    ],
)
def test_a_broken_clause_is_named(op, forward, rule, sentence):
    with pytest.raises(GradientError, match=sentence):
        check_contract(op(forward, x=rule), [X.copy()])


def test_gradients_that_share_memory_are_refused(op):
    gradients = []

    def total(xp, a: Array, b: Array):
        return a + b

    def first(g):
        gradients.append(g * 1)
        return gradients[-1]

    shared = op(total, a=first, b=lambda g: gradients[-1])
    with pytest.raises(GradientError, match="gradient of argument 1 expected memory of its own"):
        check_contract(shared, [X, X + 1])
