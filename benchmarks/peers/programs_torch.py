"""Losses of whole programs in PyTorch, eager; see `programs.py`."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from benchmarks.peers.programs import DT, INNER_LR, INNER_STEPS, LR, Data, Weights
from benchmarks.suite import Inputs, Work


def training(inputs: Inputs, device: str, *, name: str) -> Work:
    """Return the step: loss, gradients, and stochastic gradient descent."""
    loss_of = globals()[name]
    tensors = {key: torch.from_numpy(array) for key, array in inputs["data"].items()}
    parameters = [torch.from_numpy(array).requires_grad_() for array in inputs["weights"].values()]
    optimizer = torch.optim.SGD(parameters, lr=LR)

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_of(tensors, parameters)
        loss.backward()
        optimizer.step()
        value: float = loss.item()
        return value

    def outputs() -> dict[str, Any]:
        loss = loss_of(tensors, parameters)
        gradients = [g.numpy() for g in torch.autograd.grad(loss, parameters)]
        return {"loss": loss.detach().numpy(), "gradients": gradients}

    return Work(step, outputs)


def mlp(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2, w3, b3 = weights
    hidden = torch.addmm(b2, torch.addmm(b1, data["x"], w1).relu_(), w2).relu_()
    return functional.cross_entropy(torch.addmm(b3, hidden, w3), data["labels"])


def tiny_mlp(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2 = weights
    hidden = torch.tanh(torch.addmm(b1, data["x"], w1))
    return functional.mse_loss(torch.addmm(b2, hidden, w2), data["y"])


def conv_net(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2, w3, b3 = weights
    x = functional.max_pool2d(functional.conv2d(data["x"], w1, b1).relu_(), 2)
    x = functional.max_pool2d(functional.conv2d(x, w2, b2).relu_(), 2)
    return functional.cross_entropy(torch.addmm(b3, x.flatten(1), w3), data["labels"])


def pinn(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2, w3, b3 = weights
    x = data["x"].detach().requires_grad_()
    hidden = torch.tanh(torch.addmm(b2, torch.tanh(torch.addmm(b1, x, w1)), w2))
    u = x * (1 - x) * torch.addmm(b3, hidden, w3)
    (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
    return functional.mse_loss(curvature, data["source"])


def kernel_logistic(data: Data, weights: Weights) -> Any:
    coefficients, log_width = weights
    kernel = torch.exp(-0.5 * data["squared_distances"] * torch.exp(-2 * log_width))
    scores = kernel @ coefficients
    return functional.softplus(-data["y"] * scores).mean() + 1e-3 * (coefficients @ scores)


def neural_ode(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2 = weights

    def field(x: Any) -> Any:
        return torch.addmm(b2, torch.tanh(torch.addmm(b1, x, w1)), w2)

    x = data["start"]
    points = []
    for _ in range(len(data["truth"])):
        k1 = field(x)
        k2 = field(x + DT / 2 * k1)
        k3 = field(x + DT / 2 * k2)
        k4 = field(x + DT * k3)
        x = x + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        points.append(x)
    return functional.mse_loss(torch.stack(points), data["truth"])


def vae(data: Data, weights: Weights) -> Any:
    w1, b1, w2, b2, w3, b3, w4, b4 = weights
    x = data["x"]
    code = torch.addmm(b2, torch.addmm(b1, x, w1).relu_(), w2)
    mean, log_variance = code.chunk(2, dim=1)
    z = mean + torch.exp(0.5 * log_variance) * data["noise"]
    logits = torch.addmm(b4, torch.addmm(b3, z, w3).relu_(), w4)
    reconstruction = (functional.softplus(logits) - x * logits).sum(dim=1)
    divergence = 0.5 * (torch.exp(log_variance) + mean**2 - 1 - log_variance).sum(dim=1)
    return (reconstruction + divergence).mean()


def rnn(data: Data, weights: Weights) -> Any:
    w1, b1, recur, w2, b2 = weights
    state = data["state"]
    states = []
    for value in (data["x"] @ w1 + b1).unbind():
        state = torch.tanh(torch.addmm(value, state, recur))
        states.append(state)
    return functional.mse_loss(torch.stack(states) @ w2 + b2, data["y"])


def lstm(data: Data, weights: Weights) -> Any:
    embedding, recur, bias, w, b = weights
    h = c = data["state"]
    outputs = []
    for x in (functional.embedding(data["letters"], embedding) + bias).unbind():
        i, f, g, o = torch.addmm(x, h, recur).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    scores = (torch.stack(outputs) @ w + b).flatten(0, 1)
    return functional.cross_entropy(scores, data["next"])


def lstm_layer(data: Data, weights: Weights) -> Any:
    # what torch.nn.LSTM calls: with biases, one layer, no dropout, training
    start = 2 * [data["state"][None]]
    hidden, _, _ = torch.lstm(data["x"], start, weights, True, 1, 0.0, True, False, False)
    return functional.mse_loss(hidden, data["y"])


def maml(data: Data, weights: Weights) -> Any:
    def predict(weights: Weights, x: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = weights
        hidden = torch.relu(torch.addmm(b1, x, w1))
        return torch.addmm(b3, torch.relu(torch.addmm(b2, hidden, w2)), w3)

    losses = []
    for task in range(len(data["x"])):
        x, y, new_x, new_y = (data[key][task] for key in ("x", "y", "new_x", "new_y"))
        adapted = weights
        for _ in range(INNER_STEPS):
            loss = functional.mse_loss(predict(adapted, x), y)
            gradients = torch.autograd.grad(loss, adapted, create_graph=True)
            adapted = [w - INNER_LR * g for w, g in zip(adapted, gradients, strict=True)]
        losses.append(functional.mse_loss(predict(adapted, new_x), new_y))
    return torch.stack(losses).mean()


def gaussian_process(data: Data, weights: Weights) -> Any:
    log_width, log_height, log_noise = weights
    kernel = torch.exp(2 * log_height - 0.5 * data["squared_distances"] * torch.exp(-2 * log_width))
    lower = torch.linalg.cholesky(kernel + torch.exp(2 * log_noise) * data["identity"])
    white = torch.linalg.solve_triangular(lower, data["y"][:, None], upper=False)
    log_root_det = torch.log(torch.diagonal(lower)).sum()
    return 0.5 * (white**2).sum() + log_root_det + len(white) / 2 * math.log(2 * math.pi)
