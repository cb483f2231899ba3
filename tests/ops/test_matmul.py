"""einsum against NumPy; test_cases.py checks gradients."""

import math

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import ShapeError

x23 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])
cube = np.arange(24.0).reshape(2, 3, 4) % 7 - 3


@pytest.mark.parametrize(
    "subscripts",
    [
        "ij,jk",
        "ij,jk->ki",
        "ii",
        "ii->i",
        "ij->",
        "i,j",
        "...ij,...jk",
        "ij...,j->...i",
        "ijk,ikl,lj->",
        "iij->ji",
    ],
)
def test_einsum_agrees_with_numpy(subscripts):
    letters = subscripts.split("->")[0].split(",")
    operands = []
    for term in letters:
        sizes = {"i": 3, "j": 3, "k": 2, "l": 4}
        shape = [sizes[c] for c in term.replace("...", "")]
        operands.append(
            np.cos(np.arange(math.prod(shape) * (2 if "." in term else 1), dtype=float))
        )
        place = term.replace("...", ".").find(".")
        if place >= 0:
            shape.insert(place, 2)
        operands[-1] = operands[-1].reshape(shape)
    assert np.allclose(ops.einsum(subscripts, *operands), np.einsum(subscripts, *operands))


@pytest.mark.parametrize(
    ("subscripts", "shapes", "match"),
    [
        ("ij,jk", [(2, 3)], "one letter per axis"),
        ("ijk", [(2, 3)], "one letter per axis"),
        ("ij->ik", [(2, 3)], "distinct letters of the inputs, got 'ik'"),
        ("ij->ii", [(2, 3)], "distinct letters"),
        ("ii", [(2, 3)], r"repeated letter 'i' expected axes of one size, got \[2, 3\]"),
        ("ij,jk", [(2, 3), (2, 3)], "einsum"),
    ],
)
def test_einsum_rejects_subscripts_that_do_not_match(subscripts, shapes, match):
    with pytest.raises(ShapeError, match=match):
        ops.einsum(subscripts, *[np.ones(shape) for shape in shapes])


def test_einsum_broadcasts_axes_of_size_one_and_sums_their_gradients():
    a, b = Tensor(x23[:, :1], requires_grad=True), Tensor(x23, requires_grad=True)
    ga, gb = grad(ops.einsum("ij,ij->", a, b), [a, b])
    assert np.allclose(ga.numpy()[:, 0], x23.sum(axis=1))
    assert np.allclose(gb.numpy(), np.broadcast_to(x23[:, :1], (2, 3)))


@pytest.mark.parametrize(
    ("subscripts", "operands", "match"),
    [
        ("...i,...i->", [cube, cube], r"to have the inputs' '\.\.\.'"),
        ("......->", [cube], "one letter per axis"),
    ],
)
def test_einsum_rejects_misplaced_ellipses(subscripts, operands, match):
    with pytest.raises(ShapeError, match=match):
        ops.einsum(subscripts, *operands)
