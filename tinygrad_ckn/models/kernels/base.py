"""What a kernel is, and the names under which kernels are saved."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from numbers import Real
from typing import Any

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.kernels.gram import gram
from tinygrad_ckn.models.registry import made
from tinygrad_ckn.ops.kappa import Kappa
from tinygrad_ckn.plain import PlainArguments, plain

KERNELS: dict[str, type[Kernel]] = {}
_NAMES: dict[type[Kernel], str] = {}


class Kernel(metaclass=PlainArguments):
    """A kernel of patches, given by kappa; call it for the Gram matrix of two sets of vectors.

    `k1 + k2`, `0.3 * k1 + 0.7 * k2` and `k1 * k2` are kernels: what the expression
    says, divided by its value at u = 1, for kappa(1) = 1. So `k1 + k2` is the mean of
    both, and `0.3 * k1` by itself is k1.
    """

    # np.float64(0.3) * k1 is ours, not an array of kernels
    __array_ufunc__ = None

    @abstractmethod
    def kappa(self, u: Any, *args: Any, **parameters: Any) -> Any:
        """Return kappa of cosines u, elementwise; Tensors or arrays.

        A kernel with parameters to be trained takes those of `initial_parameters` by
        name, as Tensors or numbers; left out, they are what they begin with. Others
        take u only: to a type checker, *args makes that a Kernel too.
        """

    def fused(self, *args: Any, **parameters: Any) -> Kappa | None:
        """Return kappa with its derivative in u, for the fused map of a layer; it takes the parameters that kappa does.

        None: the layer composes the map of operations, as it must where a parameter is
        a Tensor that requires grad.
        """
        return None

    def initial_parameters(self) -> dict[str, float]:
        """Return the parameters that a layer is to train, with the values to begin with; any number is allowed."""
        return {}

    def __call__(self, x: Any, y: Any | None = None) -> Any:
        """Return the Gram matrix K(x_i, y_j).

        A kernel is what scikit-learn calls a callable kernel:
        `SVC(kernel=Exponential(0.5))`. Its `Nystroem` and `KernelPCA` call that once
        for each pair of rows; docs/sklearn.md has what to use in their place.

        Parameters
        ----------
        x, y
            Vectors as rows, (n, d) and (m, d), or one vector each, (d,): Tensors,
            arrays or nested lists. y is x when left out.

        Returns
        -------
        (n, m), or a number for one vector each
            Of arrays it is computed in blocks, so that memory beyond the result is
            bounded; of Tensors it is one differentiable composition. Whole numbers
            count as float64.

        Raises
        ------
        ShapeError, DTypeError
            If x and y are not matrices of one number of columns, or not of real numbers.
        DataError
            If a number is NaN or infinite.
        """
        return gram(self.kappa, x, x if y is None else y)

    def __add__(self, other: Kernel) -> Kernel:
        from tinygrad_ckn.models.kernels.combined import added

        return added(self, other) if isinstance(other, Kernel) else NotImplemented

    def __mul__(self, other: Kernel | float) -> Kernel:
        from tinygrad_ckn.models.kernels.combined import multiplied, scaled

        other = plain(other)
        if isinstance(other, Real):
            return scaled(float(other), self)
        return multiplied(self, other) if isinstance(other, Kernel) else NotImplemented

    def __rmul__(self, weight: float) -> Kernel:
        return self * weight

    def config(self) -> dict[str, Any]:
        """Return the kernel's name and parameters, as JSON takes them, from which `kernel` makes it again.

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
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # what is registered is a dataclass
        return {
            "name": _NAMES[kind],
            **{field.name: _json(getattr(self, field.name)) for field in fields},
        }


def _json(value: Any) -> Any:
    """Return the value of a field as JSON has it."""
    if isinstance(value, Kernel):
        return value.config()
    return [_json(item) for item in value] if isinstance(value, list | tuple) else value


def register(name: str, kind: type[Kernel]) -> None:
    """Give a kernel of your own a name, under which `config` and `kernel`, and so saved models, know it.

    Parameters
    ----------
    name
        A new one. A class that was defined again, as in a notebook, replaces its former
        self.
    kind
        A frozen dataclass derived from Kernel; its fields are the parameters, of types
        that JSON has.

    Raises
    ------
    ConfigError
        If the name is taken, or the class is another one.

    Examples
    --------
    See the top of the module `tinygrad_ckn.models.kernels`.
    """
    if not isinstance(name, str) or not name:
        raise ConfigError(
            f"kernels.register: argument name expected a string that is not empty, got {name!r}"
        )
    parameters = (
        vars(kind).get("__dataclass_params__")
        if isinstance(kind, type) and issubclass(kind, Kernel)
        else None
    )
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


def make_kernel(spec: Kernel | str | Mapping[str, Any]) -> Kernel:
    """Return a kernel from itself, its name, or its `config()`.

    Raises
    ------
    ConfigError
        If the name or a parameter is unknown, or a parameter is missing.

    Examples
    --------
    >>> make_kernel("polynomial")
    Polynomial(degree=2)
    """
    if isinstance(spec, Kernel):
        return spec
    found: Kernel | None = made(KERNELS, spec)
    if found is None:
        raise ConfigError(
            f"kernel: expected a Kernel or one of the names {', '.join(KERNELS)}, with its parameters, got {spec!r}; "
            "a kernel of your own needs kernels.register first"
        )
    return found
