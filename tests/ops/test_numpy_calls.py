"""NumPy's functions on Tensors run the op of that name, or raise an error."""

import copy
import math

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, hessian, jacobian, nn, ops, vjp
from tinygrad_ckn.errors import DTypeError, GradientError, ShapeError
from tinygrad_ckn.ops import numpy_calls

data = np.array([[1.0, 2.5], [3.0, 5.0]])
vector = np.array([1.0, 2.0, 4.0])
mask = np.array([[True, False], [False, True]])
CALLS = {
    "concatenate": lambda t: np.concatenate([t, t], axis=1),
    "concatenate flat": lambda t: np.concatenate((t, t), None),
    "concat": lambda t: np.concat([t, t]),
    "stack": lambda t: np.stack([t, t], axis=-1),
    "where": lambda t: np.where(mask, t, 0.0),
    "where alone": lambda t: np.where(t > 2)[0],
    "einsum": lambda t: np.einsum("ij,jk->ik", t, t),
    "einsum optimized": lambda t: np.einsum("ij,jk->ik", t, t, optimize=True),
    "expand_dims": lambda t: np.expand_dims(t, 0),
    "broadcast_to": lambda t: np.broadcast_to(t, (3, 2, 2)),
    "clip": lambda t: np.clip(t, 0, 2),
    "reshape": lambda t: np.reshape(t, 4),
    "reshape pair": lambda t: np.reshape(t, (1, -1)),
    "ravel": np.ravel,
    "pad": lambda t: np.pad(t, 1),
    "inv": np.linalg.inv,
    "solve": lambda t: np.linalg.solve(t, t),
    "norm": np.linalg.norm,
    "norm of order 1": lambda t: np.linalg.norm(t, 1),
    "norm of a matrix": lambda t: np.linalg.norm(t, "nuc"),
    "det": np.linalg.det,
    "slogdet": lambda t: np.linalg.slogdet(t).logabsdet,
    "eigh": lambda t: np.linalg.eigh(t + t.T)[0],
    "eigvalsh": lambda t: np.linalg.eigvalsh(t + t.T),
    "svd": lambda t: np.linalg.svd(t).S,
    "qr": lambda t: np.linalg.qr(t)[1],
    "cholesky": lambda t: np.linalg.cholesky(t @ t.T),
    "pinv": np.linalg.pinv,
    "lstsq": lambda t: np.linalg.lstsq(t, t[0])[0],
    "matrix_power": lambda t: np.linalg.matrix_power(t, 3),
    "matrix_rank": np.linalg.matrix_rank,
    "cond": lambda t: np.linalg.cond(t, 1),
    "multi_dot": lambda t: np.linalg.multi_dot([t, t, t[0]]),
    "trace": np.linalg.trace,
    "diagonal": lambda t: np.linalg.diagonal(t, offset=1),
    "outer": lambda t: np.linalg.outer(t[0], t[1]),
    "cross": lambda t: np.linalg.cross(np.ones(3), np.concatenate([t[0], t[1, :1]])),
    "tensordot": lambda t: np.tensordot(t, t, axes=1),
    "kron": lambda t: np.kron(t, t),
    "vector_norm": lambda t: np.linalg.vector_norm(t, axis=0, ord=3),
    "matrix_norm": lambda t: np.linalg.matrix_norm(t, ord=-2),
    "matrix_transpose": np.matrix_transpose,
    "norm axis": lambda t: np.linalg.norm(t, axis=1, keepdims=True),
    "sum": lambda t: np.sum(t, 0, None, None, True),
    "mean": lambda t: np.mean(t, axis=(0, 1)),
    "var": lambda t: np.var(t, axis=1, ddof=1),
    "std": lambda t: np.std(t, axis=0),
    "max": lambda t: np.max(t, axis=0),
    "amin": lambda t: np.amin(t, axis=0),
    "transpose": lambda t: np.transpose(t, (1, 0)),
    "swapaxes": lambda t: np.swapaxes(t, 0, 1),
    "moveaxis": lambda t: np.moveaxis(t, 0, -1),
    "squeeze": lambda t: np.squeeze(t[:1]),
    "flip": lambda t: np.flip(t, axis=0),
    "dot": lambda t: np.dot(t, t),
    "dot number": lambda t: np.dot(t, 2.0),
    "matmul": lambda t: np.matmul(t, t),
    "copy": np.copy,
    "round": lambda t: np.round(t / 3, 1),
    "exp": np.exp,
    "log1p": np.log1p,
    "remainder": lambda t: np.remainder(t, 2),
    "floor": np.floor,
    "isnan": np.isnan,
    "isfinite": np.isfinite,
    "logical_not": np.logical_not,
    "any": lambda t: np.any(t > 4, axis=0),
    "all": lambda t: np.all(t > 0),
    "argmax": lambda t: np.argmax(t, axis=1),
    "operators": lambda t: (t % 2) + (t // 2) - (+t) + 5 % t + 5 // t,
    "masks": lambda t: ((t > 1) & (t < 4)) | ~(t != 5) ^ (t == 3),
    "indexed by masks": lambda t: t[(t > 1) & (t < 4)],
    "rounding": lambda t: t.round(),
    "std method": lambda t: t.std(),
    "std of axis": lambda t: t.std(axis=0, ddof=1),
    "flatten": lambda t: t.flatten(),
    "ravel method": lambda t: t.ravel(),
    "mT": lambda t: t.mT,
    "dot method": lambda t: t.dot(t),
    "copy method": lambda t: t.copy(),
    "any method": lambda t: t.any(axis=1),
    "all method": lambda t: t.all(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_values_are_numpys_and_the_graph_is_kept(call):
    expected = call(data)
    for t in (Tensor(data), Tensor(data, requires_grad=True)):
        found = call(t)
        assert isinstance(found, Tensor)
        assert found.shape == np.shape(expected)
        assert np.allclose(found.detach().numpy(), expected)
        if found.dtype.kind == "f":
            assert found.requires_grad == t.requires_grad


def test_a_copy_of_a_mask_is_a_copy():
    t = Tensor(mask)
    for copied in (t.copy(), np.copy(t)):
        assert copied.dtype == bool
        assert np.array_equal(copied.numpy(), mask)
        assert not np.shares_memory(copied.numpy(), t.numpy())


def test_split_returns_a_list_of_tensors():
    t = Tensor(data, requires_grad=True)
    pieces = np.split(t, 2, axis=1)
    assert [p.shape for p in pieces] == [(2, 1), (2, 1)]
    assert all(p.requires_grad for p in pieces)


def test_gradients_flow_through_numpys_functions():
    t = Tensor(data, requires_grad=True)
    (g,) = grad(np.sum(np.concatenate([t, np.square(t)]), axis=None), t)
    assert np.allclose(g.numpy(), 1 + 2 * data)
    assert np.allclose(jacobian(np.linalg.inv, data).numpy().shape, (2, 2, 2, 2))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            np.cov,
            "np.cov: not an operation on tensors that require grad, .* no graph; ",
        ),
        (lambda t: np.where(mask, t), "where: expected both x and y, or neither"),
        (np.rot90, "np.rot90: .*use another of tinygrad_ckn.ops, or"),
        (np.nansum, r"np.nansum: .*use ops.where\(ops.isnan\(t\), 0, t\).sum"),
        (np.linalg.eigvals, r"np.linalg.eigvals: .*use another of tinygrad_ckn.ops"),
        (np.median, "np.median: .*use another of .* nearest name is ops.mean.*, or t.detach"),
        (np.cbrt, r"np.cbrt: not an operation on tensors; use t \*\* \(1 / 3\) of positive"),
        (
            lambda t: np.add(t, t, dtype="float32"),
            "np.add with dtype=: not an operation on tensors",
        ),
        (np.add.reduce, "np.add.reduce: not an operation on tensors"),
        (lambda t: np.mean(t, dtype="float32"), "np.mean: .* got dtype="),
        (
            lambda t: np.linalg.pinv(t, hermitian=True),
            "np.linalg.pinv: of tensors expected the arguments a, rtol, got hermitian=",
        ),
        (lambda t: np.pad(t, 1, mode="reflect"), "np.pad: .* got mode="),
        (lambda t: np.sum(t, where=t > 2), "np.sum: .* got where="),
        (lambda t: np.reshape(t, 4, order="F"), "np.reshape: .* got order="),
        (lambda t: np.reshape(t, 4, "F"), "np.reshape: .* got order="),
        (lambda t: np.ravel(t, "F"), "np.ravel: of tensors expected the arguments x, got order="),
        (lambda t: np.ravel(t, order="K"), "np.ravel: .* got order="),
        (
            lambda t: ops.stack([t, [1.0]]),
            r"stack: argument arrays\[1\] expected an array or a Tensor, got list",
        ),
        (
            lambda t: ops.einsum("ij,j->i", t, [1.0]),
            r"einsum: argument operands\[1\] expected an array or a Tensor",
        ),
        (
            lambda t: ops.one_hot([0, 1], 2),
            "one_hot: argument labels expected an array or a Tensor, got list",
        ),
        (
            lambda t: ops.expand_dims([1.0], 0),
            "expand_dims: argument x expected an array or a Tensor, got list",
        ),
        (
            lambda t: ops.stack(3),
            "stack: expected a sequence of arrays, got int; put them in a list",
        ),
        (
            lambda t: ops.einsum(t, [0, 1], t, [1, 2]),
            "einsum: argument subscripts expected a string",
        ),
        (
            lambda t: numpy_calls.dot(t[None], t),
            "dot: expected at most two axes, got 3 and 2; use ops.matmul",
        ),
        (lambda t: t & t, "bitwise_and: .*not supported for the input types"),
        (lambda t: Tensor([t[0, 0], t[1, 1]]), "join Tensors with ops.stack"),
    ],
)
def test_what_is_refused_says_what_to_use(call, match):
    with pytest.raises((DTypeError, TypeError), match=match):
        call(Tensor(data, requires_grad=True))


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("view", "t.reshape"),
        ("unsqueeze", "ops.expand_dims"),
        ("nbytes", "t.data.nbytes"),
    ],
)
def test_attributes_of_others_name_ours(name, match):
    with pytest.raises(AttributeError, match=f"Tensor has no attribute '{name}'; use {match}"):
        getattr(Tensor(data), name)
    assert not hasattr(nn.Parameter(data), name)


def test_functions_of_values_see_them_with_and_without_a_graph():
    for t in (Tensor(data), Tensor(data, requires_grad=True)):
        assert np.shape(t) == (2, 2)
        assert np.ndim(t) == 2
        assert np.allclose(t, data)
        assert np.array_equal(t, data)
        assert np.array_equal(np.zeros_like(t), np.zeros((2, 2)))
    assert np.median(Tensor(data)) == np.median(data)


def test_stack_takes_numbers_with_arrays():
    single = Tensor(np.float32(1.5))
    assert ops.stack([single, 2.0]).dtype == "float32"
    assert ops.stack([Tensor(1.0), 2.0]).tolist() == [1.0, 2.0]
    assert ops.stack([1.0, 2.0]).tolist() == [1.0, 2.0]


def test_round_and_remainder_of_python():
    t = Tensor(2.5, requires_grad=True)
    assert round(t).item() == 2.0
    assert round(t, 1).item() == 2.5
    (g,) = grad(t % 2 + 3 * (t // 2), t)
    assert g.item() == 1.0
    assert [part.item() for part in divmod(t, 2)] == [1.0, 0.5]
    assert [part.item() for part in divmod(7, t)] == [2.0, 2.0]
    assert (math.floor(t).item(), math.ceil(t).item()) == (2.0, 3.0)
    b = Tensor(2.0, requires_grad=True)
    assert grad(7.0 % b, b)[0].item() == -3.0


@pytest.mark.parametrize("dtype", [None, "float32", "float64", "int64"])
@pytest.mark.parametrize("flag", [None, True, False])
def test_array_protocol_copies_as_numpy_2_says(dtype, flag):
    array, t = np.ones(3), Tensor(np.ones(3))
    try:
        expected = np.array(array, dtype=dtype, copy=flag)
    except ValueError:
        with pytest.raises(ValueError, match=r"copy=False\): expected the tensor's dtype float64"):
            np.array(t, dtype=dtype, copy=flag)
        return
    found = np.array(t, dtype=dtype, copy=flag)
    assert found.dtype == expected.dtype
    assert np.shares_memory(found, t.data) == np.shares_memory(expected, array)


class WithArray:
    def __array__(self, dtype=None, copy=None):
        return np.array([1.0, 2.0], dtype=dtype)


class WithInterface:
    def __init__(self):
        self.kept = np.array([1.0, 2.0])
        self.__array_interface__ = self.kept.__array_interface__


class WithDLPack:
    def __init__(self):
        self.kept = np.array([1.0, 2.0])

    def __dlpack__(self, **options):
        return self.kept.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.kept.__dlpack_device__()


class WithGraph:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


@pytest.mark.parametrize(
    "kind", [WithArray, WithInterface, WithDLPack, lambda: memoryview(np.array([1.0, 2.0]))]
)
def test_arrays_of_other_libraries_are_copied(kind):
    source = kind()
    t = Tensor(source)
    assert t.tolist() == [1.0, 2.0]
    if hasattr(source, "kept"):
        assert not np.shares_memory(t.data, source.kept)
    layer = nn.Linear(1, 2, rng=0, dtype="float64")
    layer.load_state_dict({"weight": np.ones((2, 1)), "bias": source})
    assert layer.bias.tolist() == [1.0, 2.0]


def test_arrays_of_other_libraries_with_a_graph_get_the_sentence():
    with pytest.raises(
        DTypeError, match=r"got .*WithGraph \(Can't call.*pass numpy.asarray\(x\), detached"
    ):
        Tensor(WithGraph())


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda: hessian(ops.tanh, vector),
            GradientError,
            r"hessian: .* one number, got shape \(3,\); take its .sum",
        ),
        (
            lambda: jacobian(lambda a, b: a * b, vector),
            DTypeError,
            "jacobian: expected a function of 1 argument,",
        ),
        (
            lambda: vjp(lambda x: x.sum(), [1.0, 2.0]),
            DTypeError,
            "vjp: .*2 arguments, .*a vector as an array",
        ),
        (
            lambda: bool(Tensor(vector) > 0),
            ShapeError,
            r"bool\(t\): .*use \(t > 0\).any\(\) or .all\(\)",
        ),
        (
            lambda: nn.Linear(3, 2, rng=0)([1.0, 2.0, 3.0]),
            DTypeError,
            "Linear.*expected an array or a Tensor, got list",
        ),
        (
            lambda: nn.Conv2d(1, 1, 1, rng=0)([[1.0]]),
            DTypeError,
            "Conv2d.*expected an array or a Tensor, got list",
        ),
    ],
)
def test_sentences_that_mislead_no_more(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_copies_and_missing_attributes_do_not_recurse():
    assert copy.deepcopy(Tensor(data)).tolist() == data.tolist()
    with pytest.raises(AttributeError):
        object.__new__(Tensor).no_such_attribute  # noqa: B018


def test_attribute_access_is_not_slowed_down():
    assert not hasattr(Tensor, "__getattr__")
