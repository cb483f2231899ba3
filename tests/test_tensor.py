import copy
import pickle

import numpy as np
import pytest

from tinygrad_ckn import Tensor, graph, ops
from tinygrad_ckn.errors import DTypeError, GradientError, ShapeError


@pytest.fixture
def x():
    return Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)


def test_data_are_copied_in():
    array = np.ones(3)
    t = Tensor(array)
    array[:] = 5
    assert t.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (np.ones(2) * 1j, "expected a real dtype, got complex128; pass real and imaginary parts"),
        (["a"], "expected numbers, got dtype <U1"),
        ([[1.0], [1.0, 2.0]], "expected numbers in a regular grid, got list"),
        (
            object(),
            r"nested lists, or an array of any library, got builtins.object; "
            r"pass numpy.asarray\(x\)",
        ),
        (np.ma.array([1.0]), "got its subclass MaskedArray"),
    ],
)
def test_what_is_no_real_array_is_refused(data, match):
    with pytest.raises(DTypeError, match=match):
        Tensor(data)


@pytest.mark.parametrize("data", [[1, 2], [True, False]])
def test_integers_and_booleans_cannot_require_grad(data):
    with pytest.raises(DTypeError, match="requires_grad expected a floating dtype"):
        Tensor(data, requires_grad=True)


def test_memory_mapped_arrays_are_read(tmp_path):
    np.save(tmp_path / "x.npy", np.ones(3))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert Tensor(mapped).tolist() == [1.0, 1.0, 1.0]
    assert ops.exp(mapped).shape == (3,)


def test_dtype_option_and_numbers_keep_the_dtype():
    t = Tensor([1, 2], dtype="float32", requires_grad=True)
    assert (t * 2.0 + 1).dtype == "float32"
    assert (t * np.float64(2)).dtype == "float32"
    assert (t * np.array(2.0)).dtype == "float64"
    assert Tensor([1, 2]).mean().dtype == "float64"


def test_repr_shows_shape_dtype_device_and_origin(x):
    assert repr(x) == "Tensor((2, 2), float64, cpu, requires_grad=True) [[1. 2.] [3. 4.]]"
    assert repr(ops.exp(x).sum()).startswith("Tensor((), float64, cpu, op=sum)")


@pytest.mark.parametrize(
    "shape",
    [(), (0,), (1,), (3, 4), (13,), (4, 4), (0, 20), (100,), (1001,), (40, 40), (2, 3, 4, 5)],
)
def test_repr_shows_values_of_any_number_as_numpy_does(shape):
    array = np.random.default_rng(0).normal(size=shape)
    head, _, values = repr(Tensor(array)).partition(" cpu)")
    assert head == f"Tensor({shape}, float64,"
    assert values.split() == str(array).split()
    assert values.startswith("\n" if array.size > 12 else " ")
    with np.printoptions(threshold=5, edgeitems=1, precision=2):
        assert repr(Tensor(array)).partition(" cpu)")[2].split() == str(array).split()
        assert ("..." in repr(Tensor(array))) == (array.size > 5)


def test_assigned_data_keep_shape_and_dtype(x):
    with pytest.raises(
        ShapeError, match=r"expected an array of shape \(2, 2\) and dtype float64, got shape \(3,\)"
    ):
        x.data = np.ones(3)
    with pytest.raises(ShapeError, match=r"got shape .* dtype float32"):
        x.data = np.ones((2, 2), dtype="float32")
    x.data = [[0.0, 0.0], [0.0, 0.0]]
    assert x.version == 1


def test_grad_is_assignable_and_checked(x):
    x.grad = Tensor(np.zeros((2, 2)))
    x.grad = None
    with pytest.raises(
        ShapeError, match=r"expected None or a Tensor of shape \(2, 2\), got shape \(3,\)"
    ):
        x.grad = Tensor(np.zeros(3))
    with pytest.raises(ShapeError, match="got ndarray"):
        x.grad = np.zeros((2, 2))


def test_requires_grad_of_a_result_is_fixed(x):
    y = x * 2
    with pytest.raises(GradientError, match="fixed for the result of 'multiply'"):
        y.requires_grad = False
    assert not y.detach().requires_grad
    x.requires_grad = False
    assert not (x * 2).requires_grad


def test_detach_shares_memory(x):
    assert np.shares_memory(x.detach().data, x.data)


def test_assigning_an_element_names_the_alternatives(x):
    with pytest.raises(GradientError, match=r"ops.where\(mask, v, t\) or ops.index_add"):
        x[0, 0] = 1.0


def test_iteration_goes_over_rows_and_ends(x):
    assert [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]


def test_operators_agree_with_numpy():
    a, b = np.array([[1.5, -2.0]]), np.array([[0.5], [3.0]])
    for operator in ("add", "sub", "mul", "truediv", "pow", "eq", "ne", "lt", "le", "gt", "ge"):
        method = f"__{operator}__"
        positive = np.abs(a)
        expected = getattr(positive, method)(b)
        assert np.array_equal(getattr(Tensor(positive), method)(b).numpy(), expected)
    assert np.array_equal((1 - Tensor(a)).numpy(), 1 - a)
    assert np.array_equal((2 / Tensor(a)).numpy(), 2 / a)
    assert np.array_equal((2 ** Tensor(a)).numpy(), 2**a)
    assert np.array_equal(abs(-Tensor(a)).numpy(), np.abs(a))
    assert Tensor(a).T.shape == (2, 1)


def test_numpy_arrays_on_the_left_keep_the_graph(x):
    for y in (np.ones((2, 2)) * x, np.ones((2, 2)) @ x, np.float64(2) * x, np.ones(2) - x):
        assert isinstance(y, Tensor)
        assert y.requires_grad


def test_numpy_functions_run_the_op_of_that_name(x):
    assert np.exp(x).requires_grad
    assert np.abs(x).requires_grad
    assert np.true_divide(x, 2).requires_grad
    for call, match in (
        (lambda: np.cbrt(x), "np.cbrt: not an operation on tensors"),
        (lambda: np.add.reduce(x), r"np.add.reduce"),
        (lambda: np.exp(x, where=True), r"np.exp with where="),
    ):
        with pytest.raises(DTypeError, match=match):
            call()


def test_methods_take_tuples_spread_out(x):
    assert x.reshape(4).shape == x.reshape((4,)).shape == x.reshape(-1).shape == (4,)
    assert (
        x.transpose(1, 0).tolist()
        == x.transpose().tolist()
        == x.transpose((1, 0)).tolist()
        == [[1, 3], [2, 4]]
    )
    assert x.sum().reshape().shape == ()


def test_hash_is_by_identity(x):
    assert len({x, x, Tensor(1.0)}) == 2


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_are_leaves_with_values(x, copied):
    twin = copied(x)
    assert twin.tolist() == x.tolist()
    assert twin.requires_grad
    assert not np.shares_memory(twin.data, x.data)
    assert not copied(x * 2).requires_grad


def test_to_the_same_device_is_the_same_tensor(x):
    assert x.to("cpu") is x


def test_tree_of_a_graph_marks_what_was_shown(x):
    h = ops.exp(x)
    assert graph.to_text(h * h).splitlines() == [
        "multiply (2, 2) float64",
        "  exp (2, 2) float64",
        "    leaf (2, 2) float64",
        "  exp (2, 2) float64 (see above)",
    ]


def test_dot_text_has_an_arrow_for_each_operand(x):
    text = graph.to_dot(ops.exp(x) * x)
    assert text.count("->") == 3
    assert 'label="leaf (2, 2) float64", shape=box' in text


def test_no_tensor_of_another_kind_of_dtype_comes_into_being(x):
    for call in (
        lambda: x.astype(complex),
        lambda: x.astype(str),
        lambda: x + np.array([1, 2], dtype=object),
        lambda: x * 1j,
    ):
        with pytest.raises(DTypeError):
            call()


def test_numpy_reductions_run_the_method(x):
    assert np.sum(x).requires_grad
    assert np.mean(x, axis=0).requires_grad
    assert np.max(x).requires_grad
    assert np.argmax(x.detach()).item() == 3
    with pytest.raises(DTypeError, match=r"the call is sum\(x: 'Array', axis"):
        x.sum(dim=1)
