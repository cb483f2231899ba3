"""Reading and adding by index."""

import numpy as np

from tinygrad_ckn import Tensor, grad, ops

x23 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])


def test_indices_may_be_tensors():
    x = Tensor(x23, requires_grad=True)
    assert x[Tensor([1, 0])].tolist() == x23[[1, 0]].tolist()
    assert x[x > 0].tolist() == x23[x23 > 0].tolist()
    assert x[0, Tensor([1])].tolist() == [-2.0]


def test_a_tensor_as_index_gives_the_gradients_of_an_array():
    x = Tensor(np.arange(8.0).reshape(4, 2), requires_grad=True)
    numbers = np.array([0, 2, 0])
    for index in (Tensor(numbers), (Tensor(numbers), 1), (Tensor(numbers), Tensor(numbers) * 0)):
        plain = tuple(
            i.numpy() if isinstance(i, Tensor) else i
            for i in (index if isinstance(index, tuple) else [index])
        )
        found = [
            grad((ops.index_add(x * x, i, x[i] ** 2) ** 2).sum(), x, create_graph=create)[0].numpy()
            for i in (index, plain)
            for create in (False, True)
        ]
        assert all(np.array_equal(found[0], other) for other in found[1:])


def test_index_add_counts_repeated_positions():
    y = ops.index_add(np.zeros(3), np.array([0, 0, 2]), np.array([1.0, 2.0, 4.0]))
    assert y.tolist() == [3, 0, 4]
    x = np.zeros((2, 2))
    ops.index_add(x, (0, slice(None)), 1.0)
    assert not x.any()
