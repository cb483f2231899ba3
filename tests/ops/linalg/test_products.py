import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, linalg
from tinygrad_ckn.errors import ShapeError

random = np.random.default_rng(0)
a = random.normal(size=(2, 3, 4))
b = random.normal(size=(2, 3, 1))
integers = np.arange(24).reshape(2, 3, 4)


@pytest.mark.parametrize("offset", [-4, -2, 0, 1, 3, 9])
def test_diagonals_and_traces_are_numpys(offset):
    for x in (a, integers, a[:, :0], a[..., :1]):
        found, expected = (f(x, offset=offset) for f in (linalg.diagonal, np.linalg.diagonal))
        assert np.array_equal(found, expected)
        found, expected = (f(x, offset=offset) for f in (linalg.trace, np.linalg.trace))
        assert np.allclose(found, expected)
        assert found.dtype == expected.dtype
    assert linalg.trace(a, dtype="float32").dtype == "float32"


@pytest.mark.parametrize("axis", [1, -2])
def test_cross_and_inner_products_are_numpys(axis):
    assert np.allclose(linalg.cross(a, b, axis=axis), np.linalg.cross(a, b, axis=axis))
    assert np.allclose(linalg.vecdot(a, b, axis=axis), (a * b).sum(axis=axis))
    assert np.allclose(linalg.vecdot(a, a), np.vecdot(a, a))
    assert linalg.vecdot(a[..., :0], a[..., :0]).tolist() == np.zeros((2, 3)).tolist()


@pytest.mark.parametrize("axes", [0, 1, 2, ((0, 2), (2, 0)), ([1], [-2])], ids=str)
def test_tensordot_is_numpys(axes):
    x, y = random.normal(size=(2, 3, 4)), random.normal(size=(4, 3, 2))
    if axes == 2:
        y = y.swapaxes(0, 1)
    assert np.allclose(linalg.tensordot(x, y, axes=axes), np.tensordot(x, y, axes=axes))


@pytest.mark.parametrize("shapes", [((2,), (3,)), ((2, 3), (2,)), ((3,), (2, 2, 1)), ((), (2,))])
def test_kron_is_numpys(shapes):
    x, y = (random.normal(size=shape) for shape in shapes)
    assert np.allclose(linalg.kron(x, y), np.kron(x, y))


def test_a_chain_is_multiplied_in_the_cheapest_order():
    chain = [random.normal(size=s) for s in ((9, 1), (1, 9), (9, 1), (1, 9), (9,))]
    assert np.allclose(linalg.multi_dot(chain), np.linalg.multi_dot(chain))
    tensors = [Tensor(x, requires_grad=True) for x in chain]
    y = linalg.multi_dot(tensors)
    assert max(node.shape for node in nodes(y)) < (9, 9)
    (g,) = grad(y.sum(), tensors[-1])
    assert np.allclose(g.numpy(), (chain[0] @ chain[1] @ chain[2] @ chain[3]).sum(axis=0))
    assert np.allclose(linalg.multi_dot(chain[:2]), chain[0] @ chain[1])


def nodes(y):
    """Return all nodes of a graph."""
    stack, found = [y._node], []
    while stack:
        node = stack.pop()
        found.append(node)
        stack += [parent for parent in node.parents if hasattr(parent, "parents")]
    return found


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: linalg.outer(a, a), "outer: expected two vectors"),
        (lambda: linalg.trace(a[0, 0]), "trace: argument x expected matrices"),
        (lambda: linalg.matrix_transpose(np.ones(3)), "matrix_transpose: argument x expected mat"),
        (lambda: linalg.cross(a, a), "cross: argument axis expected one of size 3, got size 4"),
        (lambda: linalg.vecdot(a, b), "vecdot: argument axis expected one of equal size"),
        (lambda: linalg.vecdot(np.array(1.0), np.array(1.0)), "vecdot: argument axis expected one"),
        (lambda: linalg.vecdot(a, a, axis=3), "vecdot: argument axis expected distinct axes of 3"),
        (lambda: linalg.tensordot(a, a, axes=4), "tensordot: argument axes expected an integer"),
        (lambda: linalg.tensordot(a, a, axes=((0,), (1,))), "tensordot: .* pairs of one size"),
        (lambda: linalg.multi_dot([a[0]]), "multi_dot: expected two or more matrices"),
        (lambda: linalg.multi_dot([a[0], a, a[0]]), "multi_dot: expected two or more matrices"),
    ],
)
def test_what_does_not_fit_is_refused(call, match):
    with pytest.raises(ShapeError, match=match):
        call()
