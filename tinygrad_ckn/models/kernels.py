"""Homogeneous dot-product kernels K(x, y) = |x| |y| kappa(<x, y> / (|x| |y|)), 0 where a vector is 0; kappa(1) = 1.

Sources: Mairal 2016 (arXiv 1605.06265); Cho and Saul 2009 for the arc-cosine kernels.

A kernel of your own is a subclass of Kernel with kappa. To be saved with a model it has to be a frozen dataclass, whose
fields are its parameters, and registered under a name, also in the program that loads the model:

>>> @dataclass(frozen=True)
... class Geometric(Kernel):
...     rate: float = 0.5
...     def kappa(self, u):
...         return (1 - self.rate) / (1 - self.rate * u)
>>> register("geometric", Geometric)
>>> Geometric(rate=0.25).config()
{'name': 'geometric', 'rate': 0.25}
>>> kernel({"name": "geometric", "rate": 0.25})
Geometric(rate=0.25)
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinygrad_ckn import ops
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.ops import kappa as kappas
from tinygrad_ckn.ops._windows import is_finite
from tinygrad_ckn.ops.ckn_map import lengths
from tinygrad_ckn.ops.kappa import Kappa


class Kernel(ABC):
    """A kernel of patches, given by kappa; call it for the Gram matrix of two sets of vectors."""

    @abstractmethod
    def kappa(self, u: Any) -> Any:
        """Return kappa of cosines u, elementwise; Tensors or arrays."""

    def fused(self) -> Kappa | None:
        """Return kappa with its derivative, for the fused map of a layer; None: the layer composes it of operations."""
        return None

    def __call__(self, x: Any, y: Any | None = None) -> Any:
        """Return the Gram matrix K(x_i, y_j).

        Parameters
        ----------
        x, y
            Vectors as rows: (n, d) and (m, d), Tensors or arrays. y is x when left out.

        Returns
        -------
        (n, m)

        Raises
        ------
        ShapeError
            If the arrays are not matrices of one number of columns.
        """
        y = x if y is None else y
        if len(x.shape) != 2 or len(y.shape) != 2 or x.shape[1] != y.shape[1]:
            raise ShapeError(f"kernel: expected x (n, d) and y (m, d) of one d, got {x.shape} and {y.shape}")
        (norm_x, inverse_x), (norm_y, inverse_y) = (lengths(ops.square(v).sum(axis=1)) for v in (x, y))
        cosines = (x * inverse_x.reshape((-1, 1))) @ (y * inverse_y.reshape((-1, 1))).swapaxes(0, 1)
        return norm_x.reshape((-1, 1)) * self.kappa(cosines) * norm_y

    def config(self) -> dict[str, Any]:
        """Return the kernel's name and parameters, from which `kernel` makes it again.

        Raises
        ------
        ConfigError
            If the kernel's class is not registered.
        """
        kind = type(self)
        if kind not in _NAMES:
            raise ConfigError(
                f"Kernel.config: expected a registered kernel, got {kind.__name__}; make it a frozen dataclass and "
                f'call kernels.register("name", {kind.__name__}) before saving and before loading'
            )
        return {"name": _NAMES[kind], **dataclasses.asdict(self)}  # type: ignore[call-overload]  # all dataclasses


@dataclass(frozen=True)
class Exponential(Kernel):
    """kappa(u) = exp((u - 1) / sigma^2): for unit vectors exp(-|x - y|^2 / (2 sigma^2)), the Gaussian kernel.

    Examples
    --------
    >>> Exponential(sigma=0.5)(np.array([[2.0, 0.0]]), np.array([[0.0, 3.0]])).round(4)
    array([[0.1099]])
    """

    sigma: float = 0.6

    def __post_init__(self) -> None:
        if not is_finite(self.sigma) or self.sigma <= 0:
            raise ConfigError(f"Exponential: argument sigma expected a number > 0, got {self.sigma!r}")

    def kappa(self, u: Any) -> Any:
        """Return exp((u - 1) / sigma^2)."""
        return ops.kappa_exponential(u, 1 / self.sigma**2)

    def fused(self) -> Kappa:
        """Return kappa with its derivative."""
        return kappas.exponential(1 / self.sigma**2)


@dataclass(frozen=True)
class Polynomial(Kernel):
    """kappa(u) = u^degree.

    Examples
    --------
    >>> Polynomial(degree=2)(np.array([[1.0, 1.0]]), np.array([[0.0, 3.0]])).round(4)
    array([[2.1213]])
    """

    degree: int = 2

    def __post_init__(self) -> None:
        if not isinstance(self.degree, int) or self.degree < 1:
            raise ConfigError(f"Polynomial: argument degree expected a whole number >= 1, got {self.degree!r}")

    def kappa(self, u: Any) -> Any:
        """Return u^degree."""
        return ops.kappa_polynomial(u, self.degree)

    def fused(self) -> Kappa:
        """Return kappa with its derivative."""
        return kappas.polynomial(self.degree)


@dataclass(frozen=True)
class ArcCosine0(Kernel):
    """kappa(u) = 1 - arccos(u)/pi: infinitely many random step units.

    Examples
    --------
    >>> ArcCosine0()(np.array([[1.0, 0.0]]), np.array([[0.0, 3.0]]))
    array([[1.5]])
    """

    def kappa(self, u: Any) -> Any:
        """Return 1 - arccos(u)/pi."""
        return ops.kappa_arccos0(u)

    def fused(self) -> Kappa:
        """Return kappa with its derivative."""
        return kappas.arccos0()


@dataclass(frozen=True)
class ArcCosine1(Kernel):
    """kappa(u) = (u (pi - arccos u) + sqrt(1 - u^2))/pi: infinitely many random ReLU units.

    Examples
    --------
    >>> ArcCosine1()(np.array([[1.0, 0.0]]), np.array([[0.0, 3.0]])).round(4)
    array([[0.9549]])
    """

    def kappa(self, u: Any) -> Any:
        """Return (u (pi - arccos u) + sqrt(1 - u^2))/pi."""
        return ops.kappa_arccos1(u)

    def fused(self) -> Kappa:
        """Return kappa with its derivative."""
        return kappas.arccos1()


KERNELS: dict[str, type[Kernel]] = {
    "exponential": Exponential,
    "polynomial": Polynomial,
    "arccos0": ArcCosine0,
    "arccos1": ArcCosine1,
}
_NAMES = {kind: name for name, kind in KERNELS.items()}


def register(name: str, kind: type[Kernel]) -> None:
    """Give a kernel of your own a name, under which `config` and `kernel`, and so saved models, know it.

    Parameters
    ----------
    name
        A new one. A class that was defined again, as in a notebook, replaces its former self.
    kind
        A frozen dataclass derived from Kernel; its fields are the parameters, of types that JSON has.

    Raises
    ------
    ConfigError
        If the name is taken, or the class is another one.

    Examples
    --------
    See the top of the module `tinygrad_ckn.models.kernels`.
    """
    if not isinstance(name, str) or not name:
        raise ConfigError(f"kernels.register: argument name expected a string that is not empty, got {name!r}")
    parameters = vars(kind).get("__dataclass_params__") if isinstance(kind, type) and issubclass(kind, Kernel) else None
    if parameters is None or not parameters.frozen:
        raise ConfigError(
            f"kernels.register: argument kind expected a frozen dataclass derived from Kernel, got {kind!r}; "
            "write @dataclass(frozen=True) above the class"
        )
    old = KERNELS.get(name, kind)
    if (old.__module__, old.__qualname__) != (kind.__module__, kind.__qualname__):
        raise ConfigError(
            f"kernels.register: argument name expected a new one, got {name!r}, which is {old.__name__}'s"
        )
    KERNELS[name] = kind
    _NAMES[kind] = name


def kernel(spec: Kernel | str | Mapping[str, Any]) -> Kernel:
    """Return a kernel from itself, its name, or its `config()`.

    Raises
    ------
    ConfigError
        If the name or a parameter is unknown.

    Examples
    --------
    >>> kernel("polynomial")
    Polynomial(degree=2)
    """
    if isinstance(spec, Kernel):
        return spec
    options: dict[str, Any] = dict(spec) if isinstance(spec, Mapping) else {"name": spec}
    name = options.pop("name", None)
    kind = KERNELS.get(name) if isinstance(name, str) else None
    if kind is None or not set(options) <= {field.name for field in dataclasses.fields(kind)}:  # type: ignore[arg-type]
        raise ConfigError(
            f"kernel: expected a Kernel or one of the names {', '.join(KERNELS)}, with its parameters, got {spec!r}; "
            "a kernel of your own needs kernels.register first"
        )
    return kind(**options)
