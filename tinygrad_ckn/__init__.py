"""Convolutional kernel networks with exact gradients, on a small autodiff engine."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from tinygrad_ckn import cpu, einops_backend, errors, functional, graph, ops, profiling
from tinygrad_ckn.derivatives import hessian, jacobian, value_and_grad
from tinygrad_ckn.functional import checkpoint, hvp, jvp, vjp
from tinygrad_ckn.grad_mode import detect_anomaly, enable_grad, no_grad
from tinygrad_ckn.gradient import grad
from tinygrad_ckn.interchange import from_dlpack
from tinygrad_ckn.ops import linalg
from tinygrad_ckn.parallel import get_num_threads, set_num_threads
from tinygrad_ckn.random_numbers import manual_seed
from tinygrad_ckn.tensor import Tensor

__version__ = "0.1.0"

# `from tinygrad_ckn.linalg import det` works as well
sys.modules[f"{__name__}.linalg"] = linalg

# the kernels register themselves
importlib.import_module("tinygrad_ckn.cuda.kernels")
einops_backend.register()

if TYPE_CHECKING:
    from tinygrad_ckn import data, models, nn, optim, plots, sklearn, testing, training

# imported when first used
_LAZY = ("data", "models", "nn", "optim", "plots", "sklearn", "testing", "training")


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return importlib.import_module(f"tinygrad_ckn.{name}")
    raise AttributeError(f"module 'tinygrad_ckn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "Tensor",
    "__version__",
    "checkpoint",
    "cpu",
    "data",
    "detect_anomaly",
    "enable_grad",
    "errors",
    "from_dlpack",
    "functional",
    "get_num_threads",
    "grad",
    "graph",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "linalg",
    "manual_seed",
    "models",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "plots",
    "profiling",
    "set_num_threads",
    "sklearn",
    "testing",
    "training",
    "value_and_grad",
    "vjp",
]
