"""A user's program, checked by tests/test_types.py: the type checkers see no Any in it."""

from typing import Any, assert_type, reveal_type

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import Tensor, grad, nn, ops, optim
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.models import CKN
from tinygrad_ckn.primitive import Array, Namespace, primitive
from tinygrad_ckn.sklearn import CKNClassifier
from tinygrad_ckn.testing import gradcheck


@primitive
def cube(xp: Namespace, x: Array) -> Array:
    return x**3


cube.vjp(x=lambda g, x: 3 * g * x**2)


class Perceptron(nn.Module):
    def __init__(self, n_in: int, n_classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_in, 16)
        self.output = nn.Linear(16, n_classes)

    def forward(self, x: Array) -> Tensor:
        hidden = ops.relu(self.hidden(x))
        assert_type(hidden, Tensor)
        return self.output(hidden)


def train(images: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    model = Perceptron(images.shape[1], 10)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    loss = Tensor(0.0)
    for _ in range(3):
        loss = ops.cross_entropy(model(Tensor(images)), labels)
        assert_type(loss, Tensor)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert_type(loss.item(), float)
    return loss.item()


t = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
assert_type(cube(t), Tensor)
assert_type(t @ t.T + 1, Tensor)
assert_type((2 / t)[0].sum(axis=0).reshape(-1), Tensor)
assert_type(ops.correlate2d(t, t, padding="valid"), Tensor)
assert_type(t.shape, tuple[int, ...])
assert_type(t.numpy(), NDArray[Any])
assert_type(t.ndim + t.size, int)
assert_type(grad(cube(t).sum(), t), tuple[Tensor | None, ...])
gradcheck(cube, [np.array([1.0, 2.0])])

digits = load_digits()
images, labels = digits.train.images[:60], digits.train.labels[:60]
network = CKN.preset("unsup-32-64", in_channels=1, image_size=(8, 8), n_classes=10)
network.fit(images, labels)
features = network.features(images)
classes = network.predict(images)
estimator = CKNClassifier().fit(images.reshape(60, -1), labels)
predicted = estimator.predict(images.reshape(60, -1))
reveal_type(features)
reveal_type(classes)
reveal_type(estimator)
reveal_type(images)
reveal_type(grad(cube(t).sum(), t)[0])
reveal_type(cube(np.ones(3)) * 2)
