"""Convolutional kernel networks with exact gradients, on an autodiff engine small enough to read in an evening."""

from tinygrad_ckn import graph, ops
from tinygrad_ckn.backward import grad
from tinygrad_ckn.functional import checkpoint, hessian, hvp, jacobian, jvp, vjp
from tinygrad_ckn.modes import detect_anomaly, enable_grad, no_grad
from tinygrad_ckn.tensor import Tensor, from_dlpack

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "__version__",
    "checkpoint",
    "detect_anomaly",
    "enable_grad",
    "from_dlpack",
    "grad",
    "graph",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "no_grad",
    "ops",
    "vjp",
]
