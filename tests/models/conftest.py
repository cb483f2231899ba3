"""Kernels with kappa written out for `math` and `mpmath`, and networks that learn digits."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tinygrad_ckn.data import load_digits
from tinygrad_ckn.models import CKN, CKNLayer, FineTuning, LinearFit, Progress
from tinygrad_ckn.models.kernels import (
    ArcCosine0,
    ArcCosine1,
    Exponential,
    InnerPolynomial,
    InversePolynomial,
    Kernel,
    Linear,
    Matern,
    Polynomial,
    PowerSeries,
)
from tinygrad_ckn.models.learning.finetuning import fine_tune
from tinygrad_ckn.models.learning.objective import LabelledImages
from tinygrad_ckn.models.learning.state import Course


def _arccos0(m: Any, u: Any) -> Any:
    return 1 - m.acos(u) / m.pi


def _arccos1(m: Any, u: Any) -> Any:
    theta = m.acos(u)
    return (m.sin(theta) + (m.pi - theta) * m.cos(theta)) / m.pi


def _matern(p: int, rate: float) -> Callable[[Any, Any], Any]:
    """Return the Matern function of nu = p + 1/2 (Rasmussen and Williams 2006, eq. 4.16)."""

    def function(m: Any, u: Any) -> Any:
        s = rate * m.sqrt(2 - 2 * u)
        total = sum(
            m.factorial(p + i) / (m.factorial(i) * m.factorial(p - i)) * (2 * s) ** (p - i)
            for i in range(p + 1)
        )
        return m.exp(-s) * m.factorial(p) / m.factorial(2 * p) * total

    return function


@dataclass(frozen=True)
class Case:
    kernel: Kernel
    function: Callable[[Any, Any], Any]
    # what rounding of the cosine may do
    tolerance: float = 1e-11

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
    "trained exponential": Case(
        Exponential(sigma=0.8, trained=True), lambda m, u: m.exp((u - 1) / 0.64)
    ),
    "linear": Case(Linear(), lambda m, u: u),
    "first power": Case(Polynomial(degree=1), lambda m, u: u),
    "square": Case(Polynomial(degree=2), lambda m, u: u**2),
    "cube": Case(Polynomial(degree=3), lambda m, u: u**3),
    "arccos0": Case(ArcCosine0(), _arccos0, tolerance=1e-7),
    "arccos1": Case(ArcCosine1(), _arccos1),
    "inner polynomial": Case(InnerPolynomial(c=0.5, degree=3), lambda m, u: ((2 * u + 1) / 3) ** 3),
    "inverse polynomial": Case(InversePolynomial(), lambda m, u: 1 / (2 - u)),
    "power series": Case(PowerSeries([2, 0, 1, 1]), lambda m, u: (2 + u**2 + u**3) / 4),
    "matern 1/2": Case(Matern(0.5, 0.7), _matern(0, 1 / 0.7), tolerance=1e-7),
    "matern 3/2": Case(Matern(1.5, 0.7), _matern(1, math.sqrt(3) / 0.7)),
    "matern 5/2": Case(Matern(2.5, 0.7), _matern(2, math.sqrt(5) / 0.7)),
    "sum": Case(
        0.25 * Exponential(0.5) + 0.75 * ArcCosine1(),
        lambda m, u: m.exp((u - 1) * 4) / 4 + _arccos1(m, u) * 3 / 4,
    ),
    "product": Case(
        Polynomial(2) * Matern(1.5, 1.0), lambda m, u: u**2 * _matern(1, math.sqrt(3))(m, u)
    ),
}


@pytest.fixture(scope="session", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="session", params=["exponential", "square", "cube", "arccos1", "matern 5/2"])
def smooth_case(request: pytest.FixtureRequest) -> Case:
    """Return a kernel whose kappa has a finite slope at 1, and is not linear."""
    return CASES[request.param]


Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="session")
def digits() -> Data:
    """150 images of digits and their labels."""
    train = load_digits().train
    return train.images[:150], train.labels[:150]


@pytest.fixture(scope="session")
def new_network() -> Callable[..., CKN]:
    """A function that makes a network of two layers for digits, with 12 x 2 x 2 features."""

    def new(dtype: str = "float32", seed: int = 0, **options: Any) -> CKN:
        layers = [
            CKNLayer(1, 8, 3, subsampling=2, rng=seed, dtype=dtype),
            CKNLayer(8, 12, 3, subsampling=2, rng=seed + 1, dtype=dtype),
        ]
        return CKN(1, 8, 10, layers, rng=seed, **options)

    return new


@pytest.fixture(scope="session")
def started(new_network: Callable[..., CKN], digits: Data) -> Callable[..., CKN]:
    """A function that makes such a network with fitted filters and classifier."""

    def start(dtype: str = "float32", **options: Any) -> CKN:
        model = new_network(dtype, **options).fit_unsupervised(digits[0], n_patches=2000, rng=0)
        model.fit_classifier(*digits, l2=1e-3)
        return model

    return start


@pytest.fixture(scope="session")
def run_descent(digits: Data) -> Callable[..., list[Progress]]:
    """A function that fine-tunes a network and returns its progress events.

    They are those of steps and epochs, or with `whole` all.

    Its solver leaves the classifier as it is.
    """

    def run(
        model: CKN,
        *,
        seen: Data = digits,
        unseen: Data = (digits[0][:0], digits[1][:0]),
        loss: str = "cross_entropy",
        solve: Callable[[], LinearFit] | None = None,
        report: Callable[[Progress], None] = lambda progress: None,
        seed: int = 0,
        whole: bool = False,
        **options: Any,
    ) -> list[Progress]:
        events: list[Progress] = []

        def told(progress: Progress) -> None:
            if whole or progress.phase in ("batch", "epoch"):
                events.append(progress)
                report(progress)

        defaults = {"epochs": 2, "batch_size": 50, "lr": 0.05, "l2": 0.0, "warmup": 0}
        fine_tune(
            model,
            LabelledImages(model._check_images(seen[0]), *seen[1:]),
            LabelledImages(model._check_images(unseen[0]), *unseen[1:]),
            FineTuning(**defaults | options),
            loss=loss,
            solve=solve or (lambda: LinearFit(None, None, l2=0.0, scale=1.0)),
            course=Course.of(model, np.random.default_rng(seed)),
            report=told,
        )
        return events

    return run
