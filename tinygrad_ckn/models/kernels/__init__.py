"""Homogeneous dot-product kernels K(x, y) = |x| |y| kappa(<x, y> / (|x| |y|)).

K is 0 where a vector is 0, and kappa(1) = 1. A kernel is called with two sets of
vectors and returns their Gram matrix; `0.3 * k1 + 0.7 * k2` and `k1 * k2` are kernels
again. Each works as `kernel=` of scikit-learn too. Sources are in docs/mathematics.md.

A kernel of your own is a subclass of Kernel with kappa, made of operations on Tensors.
To be saved with a model it must be a frozen dataclass, whose fields are its parameters,
and be registered under a name, also in the program that loads the model:

>>> from dataclasses import dataclass
>>> @register("geometric")
... @dataclass(frozen=True)
... class Geometric(Kernel):
...     rate: float = 0.5
...     def kappa(self, u):
...         return (1 - self.rate) / (1 - self.rate * u)
>>> Geometric(rate=0.25).config()
{'name': 'geometric', 'rate': 0.25}
>>> make_kernel({"name": "geometric", "rate": 0.25})
Geometric(rate=0.25)
"""

from importlib import import_module
from pkgutil import iter_modules

from tinygrad_ckn.models.kernels.arccos import ArcCosine0, ArcCosine1
from tinygrad_ckn.models.kernels.base import (
    KERNELS,
    Kernel,
    Product,
    Sum,
    make_kernel,
    register,
)
from tinygrad_ckn.models.kernels.polynomials import (
    InnerPolynomial,
    InversePolynomial,
    Linear,
    Polynomial,
    PowerSeries,
)
from tinygrad_ckn.models.kernels.stationary import Exponential, Matern

__all__ = [
    "KERNELS",
    "ArcCosine0",
    "ArcCosine1",
    "Exponential",
    "InnerPolynomial",
    "InversePolynomial",
    "Kernel",
    "Linear",
    "Matern",
    "Polynomial",
    "PowerSeries",
    "Product",
    "Sum",
    "make_kernel",
    "register",
]

# Each file of this folder registers its kernels by being imported: a new one too.
for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")


def __dir__() -> list[str]:
    return sorted(__all__)
