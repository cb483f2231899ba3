"""Losses of whole programs in HIPS autograd; see `programs.py`."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad, grad, value_and_grad
from autograd.scipy.linalg import solve_triangular
from autograd.scipy.signal import convolve

from benchmarks.peers.programs import DT, INNER_LR, INNER_STEPS, LR, Data, Weights
from benchmarks.suite import Inputs, Work


def training(inputs: Inputs, device: str, *, name: str) -> Work:
    """Return the step: loss, gradients, and stochastic gradient descent."""
    differentiate = value_and_grad(functools.partial(globals()[name], inputs["data"]))
    weights = [array.copy() for array in inputs["weights"].values()]

    def step() -> float:
        loss, gradients = differentiate(weights)
        for i, gradient in enumerate(gradients):
            weights[i] = weights[i] - LR * gradient
        return float(loss)

    def outputs() -> dict[str, Any]:
        loss, gradients = differentiate(weights)
        return {"loss": np.asarray(loss), "gradients": [np.asarray(g) for g in gradients]}

    return Work(step, outputs)


def relu(x: Any) -> Any:
    return anp.maximum(x, 0)


def sigmoid(x: Any) -> Any:
    return 0.5 * (anp.tanh(0.5 * x) + 1)


def mse(x: Any, y: Any) -> Any:
    return anp.mean((x - y) ** 2)


def cross_entropy(scores: Any, labels: Any) -> Any:
    shifted = scores - anp.max(scores, axis=1, keepdims=True)
    logs = anp.log(anp.sum(anp.exp(shifted), axis=1))
    return anp.mean(logs - shifted[np.arange(len(labels)), labels])


def mlp(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2, w3, b3 = weights
    hidden = relu(anp.dot(relu(anp.dot(data["x"], w1) + b1), w2) + b2)
    return cross_entropy(anp.dot(hidden, w3) + b3, data["labels"])


def tiny_mlp(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2 = weights
    return mse(anp.dot(anp.tanh(anp.dot(data["x"], w1) + b1), w2) + b2, data["y"])


def conv_net(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2, w3, b3 = weights

    def layer(x: Any, w: Any, b: Any) -> Any:
        """Return a convolution with flipped filters, relu, and the maxima of 2x2."""
        x = convolve(
            x, w[:, :, ::-1, ::-1], axes=([2, 3], [2, 3]), dot_axes=([1], [1]), mode="valid"
        )
        x = relu(x + b[:, None, None])
        n, c, height, width = x.shape
        return anp.max(anp.reshape(x, (n, c, height // 2, 2, width // 2, 2)), axis=(3, 5))

    x = layer(layer(data["x"], w1, b1), w2, b2)
    return cross_entropy(anp.dot(anp.reshape(x, (len(x), -1)), w3) + b3, data["labels"])


def pinn(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2, w3, b3 = weights

    def solution(x: Any) -> Any:
        hidden = anp.tanh(anp.dot(anp.tanh(anp.dot(x, w1) + b1), w2) + b2)
        return x * (1 - x) * (anp.dot(hidden, w3) + b3)

    return mse(elementwise_grad(elementwise_grad(solution))(data["x"]), data["source"])


def kernel_logistic(data: Data, weights: Weights) -> Any:
    coefficients, log_width = weights
    kernel = anp.exp(-0.5 * data["squared_distances"] * anp.exp(-2 * log_width))
    scores = anp.dot(kernel, coefficients)
    losses = anp.logaddexp(0, -data["y"] * scores)
    return anp.mean(losses) + 1e-3 * anp.dot(coefficients, scores)


def neural_ode(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2 = weights

    def field(x: Any) -> Any:
        return anp.dot(anp.tanh(anp.dot(x, w1) + b1), w2) + b2

    x = data["start"]
    points = []
    for _ in range(len(data["truth"])):
        k1 = field(x)
        k2 = field(x + DT / 2 * k1)
        k3 = field(x + DT / 2 * k2)
        k4 = field(x + DT * k3)
        x = x + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        points.append(x)
    return mse(anp.stack(points), data["truth"])


def vae(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2, w3, b3, w4, b4 = weights
    x = data["x"]
    code = anp.dot(relu(anp.dot(x, w1) + b1), w2) + b2
    half = code.shape[1] // 2
    mean, log_variance = code[:, :half], code[:, half:]
    z = mean + anp.exp(0.5 * log_variance) * data["noise"]
    logits = anp.dot(relu(anp.dot(z, w3) + b3), w4) + b4
    reconstruction = anp.sum(anp.logaddexp(0, logits) - x * logits, axis=1)
    divergence = 0.5 * anp.sum(anp.exp(log_variance) + mean**2 - 1 - log_variance, axis=1)
    return anp.mean(reconstruction + divergence)


def rnn(data: Data, weights: Weights) -> Any:
    w1, b1, recur, w2, b2 = weights
    state = data["state"]
    states = []
    for value in data["x"]:
        state = anp.tanh(anp.dot(value, w1) + b1 + anp.dot(state, recur))
        states.append(state)
    return mse(anp.dot(anp.stack(states), w2) + b2, data["y"])


def lstm(data: Data, weights: Weights) -> Any:
    embedding, recur, bias, w, b = weights
    inputs = (embedding[letters] + bias for letters in data["letters"])
    states = hidden_states(inputs, recur, data["state"])
    return cross_entropy(anp.dot(anp.concatenate(states), w) + b, data["next"])


def lstm_layer(data: Data, weights: Weights) -> Any:
    w_inputs, w_hidden, b_inputs, b_hidden = weights
    inputs = (anp.dot(x, w_inputs.T) + (b_inputs + b_hidden) for x in data["x"])
    return mse(anp.stack(hidden_states(inputs, w_hidden.T, data["state"])), data["y"])


def hidden_states(inputs: Iterable[Any], recur: Any, state: Any) -> list[Any]:
    """Return the state of an LSTM after each of its inputs."""
    h = c = state
    states = []
    for x in inputs:
        i, f, g, o = anp.split(x + anp.dot(h, recur), 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * anp.tanh(g)
        h = sigmoid(o) * anp.tanh(c)
        states.append(h)
    return states


def maml(data: Data, weights: Weights) -> Any:
    def loss(weights: Weights, x: Any, y: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = weights
        hidden = relu(anp.dot(relu(anp.dot(x, w1) + b1), w2) + b2)
        return mse(anp.dot(hidden, w3) + b3, y)

    losses = []
    for task in range(len(data["x"])):
        x, y, new_x, new_y = (data[key][task] for key in ("x", "y", "new_x", "new_y"))
        adapted = list(weights)
        for _ in range(INNER_STEPS):
            gradients = grad(loss)(adapted, x, y)
            adapted = [w - INNER_LR * g for w, g in zip(adapted, gradients, strict=True)]
        losses.append(loss(adapted, new_x, new_y))
    return anp.mean(anp.stack(losses))


def gaussian_process(data: Data, weights: Weights) -> Any:
    log_width, log_height, log_noise = weights
    kernel = anp.exp(2 * log_height - 0.5 * data["squared_distances"] * anp.exp(-2 * log_width))
    lower = anp.linalg.cholesky(kernel + anp.exp(2 * log_noise) * data["identity"])
    white = solve_triangular(lower, data["y"], lower=True)
    log_root_det = anp.sum(anp.log(anp.diagonal(lower, axis1=-1, axis2=-2)))
    return 0.5 * anp.sum(white**2) + log_root_det + len(white) / 2 * math.log(2 * math.pi)
