"""Convolutional kernel networks with exact gradients, on an autodiff engine small enough to read in an evening."""

import importlib
from typing import TYPE_CHECKING, Any

from tinygrad_ckn import cpu, graph, ops
from tinygrad_ckn.backend import manual_seed
from tinygrad_ckn.backward import grad
from tinygrad_ckn.functional import checkpoint, hessian, hvp, jacobian, jvp, vjp
from tinygrad_ckn.grad_mode import detect_anomaly, enable_grad, no_grad
from tinygrad_ckn.interchange import from_dlpack
from tinygrad_ckn.parallel import get_num_threads, set_num_threads
from tinygrad_ckn.tensor import Tensor

__version__ = "0.1.0"

# they register themselves
importlib.import_module("tinygrad_ckn.cuda.kernels")

if TYPE_CHECKING:
    from tinygrad_ckn import data, models, nn, optim, plots, testing, training

_SUBPACKAGES = (
    "data",
    "models",
    "nn",
    "optim",
    "plots",
    "testing",
    "training",
)  # imported when first used


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"tinygrad_ckn.{name}")
    raise AttributeError(f"module 'tinygrad_ckn' has no attribute {name!r}")


__all__ = [
    "Tensor",
    "__version__",
    "checkpoint",
    "cpu",
    "data",
    "detect_anomaly",
    "enable_grad",
    "from_dlpack",
    "get_num_threads",
    "grad",
    "graph",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "manual_seed",
    "models",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "plots",
    "set_num_threads",
    "testing",
    "training",
    "vjp",
]
