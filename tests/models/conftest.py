"""The kernels of the library, each with kappa written out again for `math` and `mpmath`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tinygrad_ckn.models.kernels import ArcCosine0, ArcCosine1, Exponential, Kernel, Polynomial


def _arccos0(m: Any, u: Any) -> Any:
    return 1 - m.acos(u) / m.pi


def _arccos1(m: Any, u: Any) -> Any:
    theta = m.acos(u)
    return (m.sin(theta) + (m.pi - theta) * m.cos(theta)) / m.pi


@dataclass(frozen=True)
class Case:
    kernel: Kernel
    function: Callable[[Any, Any], Any]
    tolerance: float = 1e-11  # what rounding of the cosine may do

    def kappa(self, u: float, m: Any = math) -> Any:
        """Return kappa(u) by the module `m`."""
        return self.function(m, min(max(u, -1), 1))

    def gram(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return |x| |y| kappa(<x, y> / |x| |y|) for all rows, 0 where one is 0."""
        k = np.zeros((len(x), len(y)))
        for i, a in enumerate(x):
            for j, b in enumerate(y):
                size = math.hypot(*a) * math.hypot(*b)
                if size > 0:
                    k[i, j] = size * self.kappa(math.fsum(a * b) / size)
        return k


CASES = {
    "exponential": Case(Exponential(sigma=0.5), lambda m, u: m.exp((u - 1) / 0.25)),
    "linear": Case(Polynomial(degree=1), lambda m, u: u),
    "square": Case(Polynomial(degree=2), lambda m, u: u**2),
    "cube": Case(Polynomial(degree=3), lambda m, u: u**3),
    "arccos0": Case(ArcCosine0(), _arccos0, tolerance=1e-7),
    "arccos1": Case(ArcCosine1(), _arccos1),
}


@pytest.fixture(scope="session", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="session", params=["exponential", "square", "cube", "arccos1"])
def smooth_case(request: pytest.FixtureRequest) -> Case:
    """Return a kernel whose kappa has a finite slope at 1, and is not linear."""
    return CASES[request.param]
