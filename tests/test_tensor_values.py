import numpy as np
import pytest

from tinygrad_ckn import Tensor, from_dlpack, ops
from tinygrad_ckn.errors import DTypeError, GradientError, ShapeError


@pytest.fixture
def x():
    return Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)


def test_numpy_is_a_read_only_view(x):
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0, 0] = 5
    assert np.shares_memory(x.numpy(), x.data)


def test_what_would_drop_the_graph_is_refused_with_the_way_to_do_it(x):
    for action, name in (
        (lambda: np.asarray(x), r"np.asarray\(t\)"),
        (lambda: float(x.sum()), r"float\(t\)"),
        (lambda: int(x.sum()), r"int\(t\)"),
        (lambda: np.from_dlpack(x), r"from_dlpack\(t\)"),
    ):
        with pytest.raises(GradientError, match=name + r".*t.item\(\) or t.numpy\(\)"):
            action()
    assert np.asarray(x.detach()).tolist() == x.tolist()
    assert np.asarray(x.detach(), dtype="float32").dtype == "float32"
    assert float(x.detach().sum()) == 10.0
    assert int(x.detach().sum()) == 10


def test_item_length_truth(x):
    assert x.item(1, 0) == 3.0
    assert len(x) == 2
    assert bool(Tensor([True]))
    with pytest.raises(ShapeError, match="one element"):
        x.item()
    with pytest.raises(ShapeError, match="one element"):
        bool(x)
    with pytest.raises(ShapeError, match="got a scalar"):
        len(x.sum())


def test_dlpack_both_ways():
    array = np.arange(3.0)
    t = from_dlpack(array)
    assert np.shares_memory(t.data, array)
    assert np.shares_memory(np.from_dlpack(t), array)
    with pytest.raises(DTypeError, match="from_dlpack: argument source expected a real dtype"):
        from_dlpack(np.ones(2) * 1j)


def test_elements_as_indices_and_formatted(x):
    assert [10, 20][Tensor(1)] == 20
    with pytest.raises(DTypeError, match="index: expected an integer tensor, got float64"):
        _ = [10, 20][Tensor(1.0)]
    assert f"{x.sum():.1f}" == "10.0"
    assert f"{x}" == repr(x)
    assert ops.argmax(x, axis=1, keepdims=True).shape == (2, 1)


def test_what_has_no_element_there_says_so(x):
    with pytest.raises(
        IndexError, match=r"Tensor.item: expected an index into shape \(2, 2\), got \(3, 0\)"
    ):
        x.item(3, 0)
    with pytest.raises(ShapeError, match="got a scalar"):
        list(x.sum())
    with pytest.raises(DTypeError, match="from_dlpack: expected an array with __dlpack__, got int"):
        from_dlpack(3)
    with pytest.raises(DTypeError, match=r"add: .*out of bounds"):
        Tensor([1], dtype="uint8") + 300
