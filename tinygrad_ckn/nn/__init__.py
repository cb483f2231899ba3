"""Modules, layers, parameters with their constraints, initial values, and files of them."""

from tinygrad_ckn.nn import init
from tinygrad_ckn.nn.activations import GELU, LeakyReLU, ReLU, Sigmoid, Softplus, Tanh
from tinygrad_ckn.nn.constraint import Constraint, Sphere
from tinygrad_ckn.nn.dropout import Dropout
from tinygrad_ckn.nn.embedding import Embedding
from tinygrad_ckn.nn.layers import Conv2d, Flatten, Linear
from tinygrad_ckn.nn.lstm import LSTM
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.nn.module_list import ModuleList
from tinygrad_ckn.nn.normalisation import BatchNorm1d, BatchNorm2d, LayerNorm
from tinygrad_ckn.nn.parameter import Parameter
from tinygrad_ckn.nn.pooling import AvgPool2d, GaussianPool2d, MaxPool2d
from tinygrad_ckn.nn.sequential import Sequential
from tinygrad_ckn.nn.storage import load, save
from tinygrad_ckn.nn.transposed import ConvTranspose2d

__all__ = [
    "GELU",
    "LSTM",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Constraint",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianPool2d",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softplus",
    "Sphere",
    "Tanh",
    "init",
    "load",
    "save",
]


def __dir__() -> list[str]:
    return sorted(__all__)
