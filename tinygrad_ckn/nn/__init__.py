"""Modules, layers, parameters with their constraints, and initial values."""

from tinygrad_ckn.nn import init
from tinygrad_ckn.nn.activations import ReLU, Sigmoid, Softplus, Tanh
from tinygrad_ckn.nn.constraint import Constraint, Sphere
from tinygrad_ckn.nn.layers import Conv2d, Flatten, Linear
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.nn.parameter import Parameter
from tinygrad_ckn.nn.pooling import AvgPool2d, GaussianPool2d, MaxPool2d
from tinygrad_ckn.nn.sequential import Sequential

__all__ = [
    "AvgPool2d",
    "Constraint",
    "Conv2d",
    "Flatten",
    "GaussianPool2d",
    "Linear",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softplus",
    "Sphere",
    "Tanh",
    "init",
]


def __dir__() -> list[str]:
    return sorted(__all__)
