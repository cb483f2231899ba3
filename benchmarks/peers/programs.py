"""Losses of whole programs in this library, as in examples/models.

Each function takes data by name and a list of weights, and returns a loss. PyTorch's are in
`programs_torch.py`, HIPS autograd's in `programs_autograd.py`. `training` makes a step of one.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

from benchmarks.suite import Inputs, Work
from tinygrad_ckn import Tensor, grad, linalg, nn, ops, optim

Data = Mapping[str, Any]
Weights = list[Any]
# So small that the weights stay about where they are however many steps are timed.
LR = 1e-5
DT = 0.05
INNER_STEPS, INNER_LR = 3, 0.01


def training(inputs: Inputs, device: str, *, name: str, dtype: str | None = None) -> Work:
    """Return the step: loss, gradients, and stochastic gradient descent."""
    loss_of = globals()[name]
    data, weights = (
        {key: cast(array, dtype) for key, array in inputs[group].items()}
        for group in ("data", "weights")
    )
    tensors = {key: Tensor(array) for key, array in data.items()}
    parameters = [Tensor(array, requires_grad=True) for array in weights.values()]
    optimizer = optim.SGD(parameters, lr=LR)

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_of(tensors, parameters)
        loss.backward()
        optimizer.step()
        value: float = loss.item()
        return value

    def outputs() -> dict[str, Any]:
        loss = loss_of(tensors, parameters)
        gradients = [g.numpy() for g in grad(loss, parameters) if g is not None]
        return {"loss": loss.numpy(), "gradients": gradients}

    return Work(step, outputs)


def cast(array: Any, dtype: str | None) -> Any:
    """Return floating numbers in another precision, and integers as they are."""
    return array if dtype is None or array.dtype.kind != "f" else array.astype(dtype)


def mlp(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2, w3, b3 = weights
    hidden = ops.relu(ops.relu(data["x"] @ w1 + b1) @ w2 + b2)
    return ops.cross_entropy(hidden @ w3 + b3, data["labels"])


def tiny_mlp(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2 = weights
    return ops.mse(ops.tanh(data["x"] @ w1 + b1) @ w2 + b2, data["y"])


def conv_net(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2, w3, b3 = weights
    x = ops.max_pool2d(ops.relu(ops.correlate2d(data["x"], w1) + b1[:, None, None]), 2)
    x = ops.max_pool2d(ops.relu(ops.correlate2d(x, w2) + b2[:, None, None]), 2)
    return ops.cross_entropy(x.reshape(len(x), -1) @ w3 + b3, data["labels"])


def pinn(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2, w3, b3 = weights
    x = Tensor(data["x"].data, requires_grad=True)
    u = x * (1 - x) * (ops.tanh(ops.tanh(x @ w1 + b1) @ w2 + b2) @ w3 + b3)
    slope: Any = grad(u.sum(), x, create_graph=True)[0]
    curvature: Any = grad(slope.sum(), x, create_graph=True)[0]
    return ops.mse(curvature, data["source"])


def kernel_logistic(data: Data, weights: Weights) -> Any:
    coefficients, log_width = weights
    kernel = ops.exp(-0.5 * data["squared_distances"] * ops.exp(-2 * log_width))
    scores = kernel @ coefficients
    return ops.softplus(-data["y"] * scores).mean() + 1e-3 * (coefficients @ scores)


def neural_ode(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2 = weights

    def field(x: Any) -> Any:
        return ops.tanh(x @ w1 + b1) @ w2 + b2

    x = data["start"]
    points = []
    for _ in range(len(data["truth"])):
        k1 = field(x)
        k2 = field(x + DT / 2 * k1)
        k3 = field(x + DT / 2 * k2)
        k4 = field(x + DT * k3)
        x = x + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        points.append(x)
    return ops.mse(ops.stack(points), data["truth"])


def vae(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2, w3, b3, w4, b4 = weights
    x = data["x"]
    code = ops.relu(x @ w1 + b1) @ w2 + b2
    mean, log_variance = ops.split(code, 2, axis=1)
    z = mean + ops.exp(0.5 * log_variance) * data["noise"]
    logits = ops.relu(z @ w3 + b3) @ w4 + b4
    reconstruction = (ops.softplus(logits) - x * logits).sum(axis=1)
    divergence = 0.5 * (ops.exp(log_variance) + mean**2 - 1 - log_variance).sum(axis=1)
    return (reconstruction + divergence).mean()


def rnn(data: Data, weights: Weights) -> Any:
    w1, b1, recur, w2, b2 = weights
    state = data["state"]
    states = []
    for value in data["x"] @ w1 + b1:
        state = ops.tanh(value + state @ recur)
        states.append(state)
    return ops.mse(ops.stack(states) @ w2 + b2, data["y"])


def lstm(data: Data, weights: Weights) -> Any:
    embedding, recur, bias, w, b = weights
    h = c = data["state"]
    outputs = []
    for x in embedding[data["letters"]] + bias:
        i, f, g, o = ops.split(x + h @ recur, 4, axis=1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(c)
        outputs.append(h)
    scores = (ops.stack(outputs) @ w + b).reshape(-1, len(b))
    return ops.cross_entropy(scores, data["next"])


def lstm_layer(data: Data, weights: Weights) -> Any:
    gates, inputs = weights[0].shape
    layer = _layer(inputs, gates // 4)
    for name, w in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), weights, strict=True):
        setattr(layer, f"{name}_l0", w)
    hidden, _ = layer(data["x"])
    return ops.mse(hidden, data["y"])


@functools.cache
def _layer(inputs: int, units: int) -> nn.LSTM:
    return nn.LSTM(inputs, units, rng=0)


def maml(data: Data, weights: Weights) -> Any:
    def predict(weights: Weights, x: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = weights
        return ops.relu(ops.relu(x @ w1 + b1) @ w2 + b2) @ w3 + b3

    losses = []
    for task in range(len(data["x"])):
        x, y, new_x, new_y = (data[key][task] for key in ("x", "y", "new_x", "new_y"))
        adapted = weights
        for _ in range(INNER_STEPS):
            gradients: Any = grad(ops.mse(predict(adapted, x), y), adapted, create_graph=True)
            adapted = [w - INNER_LR * g for w, g in zip(adapted, gradients, strict=True)]
        losses.append(ops.mse(predict(adapted, new_x), new_y))
    return ops.stack(losses).mean()


def gaussian_process(data: Data, weights: Weights) -> Any:
    log_width, log_height, log_noise = weights
    kernel = ops.exp(2 * log_height - 0.5 * data["squared_distances"] * ops.exp(-2 * log_width))
    lower = linalg.cholesky(kernel + ops.exp(2 * log_noise) * data["identity"])
    white = linalg.solve_triangular(lower, data["y"], lower=True)
    log_root_det = ops.log(linalg.diagonal(lower)).sum()
    return 0.5 * (white**2).sum() + log_root_det + len(white) / 2 * math.log(2 * math.pi)
