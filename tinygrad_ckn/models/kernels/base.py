"""Kernels, their sums and products, and the names under which they are saved."""

from __future__ import annotations

import dataclasses
import math
import operator
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from numbers import Real
from typing import Any, TypeVar, overload

from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import BackendError, ConfigError
from tinygrad_ckn.grad_mode import enable_grad
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.kernels.gram import gram
from tinygrad_ckn.models.registry import from_spec
from tinygrad_ckn.ops.kappa import Kappa
from tinygrad_ckn.plain import PlainArguments, plain
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import is_finite

K = TypeVar("K", bound="Kernel")

KERNELS: dict[str, type[Kernel]] = {}
_NAMES: dict[type[Kernel], str] = {}


class Kernel(metaclass=PlainArguments):
    """A kernel of patches, defined by kappa; call it for a Gram matrix.

    `k1 + k2`, `0.3 * k1 + 0.7 * k2` and `k1 * k2` are kernels: the expression divided
    by its value at u = 1, so that kappa(1) = 1. So `k1 + k2` is the mean of both, and
    `0.3 * k1` alone equals k1.
    """

    # np.float64(0.3) * k1 calls __rmul__, instead of making an array of kernels.
    __array_ufunc__ = None

    @abstractmethod
    def kappa(self, u: Array, *args: Any, **parameters: Any) -> Array:
        """Return kappa of cosines u, elementwise, for Tensors or arrays.

        A layer calls it on parts of a map, of any shape, from several threads.

        A kernel with trained parameters takes those of `initial_parameters` by name, as
        Tensors or numbers; left out, they have their initial values. Other kernels take
        u only: to a type checker, *args makes those a Kernel too.
        """

    def fused(self, *args: Any, **parameters: Any) -> Kappa | None:
        """Return kappa with its derivative in u, for the fused map of a layer.

        Override it only to make a kernel faster: with a hand-written derivative, or a
        function on the GPU.

        Parameters
        ----------
        **parameters
            As for `kappa`.

        Returns
        -------
        Kappa or None
            None if kappa depends on a Tensor that requires a gradient, such as a
            trained parameter: the layer then composes the map of operations.
        """
        if any(getattr(value, "requires_grad", False) for value in parameters.values()):
            return None
        numbers: dict[str, Any] = {name: float(unwrap(value)) for name, value in parameters.items()}
        kappa = partial(self.kappa, **numbers) if numbers else self.kappa
        return None if _depends_on_tensors(kappa) else Kappa.from_function(kappa)

    def initial_parameters(self) -> dict[str, float]:
        """Return trained parameters with their initial values; all numbers are valid."""
        return {}

    def __call__(self, x: Array, y: Array | None = None) -> Array:
        """Return the Gram matrix K(x_i, y_j).

        A kernel is a callable kernel of scikit-learn: `SVC(kernel=Exponential(0.5))`.
        Its `Nystroem` and `KernelPCA` call it once per pair of rows; docs/sklearn.md
        names replacements.

        Parameters
        ----------
        x, y
            Vectors as rows, (n, d) and (m, d), or one vector each, (d,): Tensors,
            arrays or nested lists. y defaults to x.

        Returns
        -------
        (n, m), or a number for one vector each
            For arrays it is computed in blocks, which bounds the memory besides the
            result; for Tensors it is one differentiable composition. Integers count as
            float64.

        Raises
        ------
        ShapeError, DTypeError
            If x and y are not matrices of as many columns, or not of real numbers.
        DataError
            If a number is NaN or infinite.
        """
        return gram(self.kappa, x, x if y is None else y)

    def __add__(self, other: Kernel) -> Kernel:
        return _add(self, other) if isinstance(other, Kernel) else NotImplemented

    def __mul__(self, other: Kernel | float) -> Kernel:
        other = plain(other)
        if isinstance(other, Real):
            return _scale(float(other), self)
        return _multiply(self, other) if isinstance(other, Kernel) else NotImplemented

    def __rmul__(self, weight: float) -> Kernel:
        return self * weight

    def config(self) -> dict[str, Any]:
        """Return name and parameters as JSON values; `make_kernel` inverts it.

        Raises
        ------
        ConfigError
            If the kernel's class is not registered.
        """
        kind = type(self)
        if kind not in _NAMES:
            raise ConfigError(
                f"Kernel.config: expected a registered kernel, got {kind.__name__}; make it a "
                f'frozen dataclass and call kernels.register("name", {kind.__name__}) before '
                "saving and before loading"
            )
        # Registered classes are dataclasses.
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {
            "name": _NAMES[kind],
            **{field.name: _json(getattr(self, field.name)) for field in fields},
        }


def _depends_on_tensors(kappa: Callable[[Array], Array]) -> bool:
    """Return whether kappa uses a Tensor of its own that may require a gradient."""
    try:
        with enable_grad():
            y = kappa(Tensor([0.0]))
    except BackendError:
        # An array on the GPU.
        return True
    return isinstance(y, Tensor) and y.requires_grad


def _json(value: Any) -> Any:
    """Return the value of a field as JSON has it."""
    if isinstance(value, Kernel):
        return value.config()
    return [_json(item) for item in value] if isinstance(value, list | tuple) else value


@overload
def register(name: str) -> Callable[[type[K]], type[K]]: ...
@overload
def register(name: str, kind: type[K]) -> type[K]: ...
def register(name: str, kind: type[K] | None = None) -> type[K] | Callable[[type[K]], type[K]]:
    """Register a kernel class under a name, by which saved models refer to it.

    Parameters
    ----------
    name
        A new name. A class that is defined again, as in a notebook, may take its old
        name.
    kind
        A frozen dataclass derived from Kernel; its fields are the parameters, of types
        that JSON has. Left out: return a decorator, `@register("name")`.

    Raises
    ------
    ConfigError
        If the name is taken, or the class is not a frozen dataclass.

    Examples
    --------
    See the top of the module `tinygrad_ckn.models.kernels`.
    """
    if not isinstance(name, str) or not name:
        raise ConfigError(
            f"kernels.register: argument name expected a non-empty string, got {name!r}"
        )
    return partial(_register, name) if kind is None else _register(name, kind)


def _register(name: str, kind: type[K]) -> type[K]:
    is_kernel = isinstance(kind, type) and issubclass(kind, Kernel)
    options = vars(kind).get("__dataclass_params__") if is_kernel else None
    if options is None or not options.frozen:
        raise ConfigError(
            "kernels.register: argument kind expected a frozen dataclass derived from Kernel, got "
            f"{kind!r}; write @dataclass(frozen=True) above the class"
        )
    old = KERNELS.get(name, kind)
    if (old.__module__, old.__qualname__) != (kind.__module__, kind.__qualname__):
        raise ConfigError(
            f"kernels.register: argument name expected a new name, got {name!r}, the name of "
            f"{old.__name__}"
        )
    KERNELS[name] = kind
    _NAMES[kind] = name
    return kind


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
    kernel: Kernel | None = from_spec(KERNELS, spec)
    if kernel is None:
        raise ConfigError(
            f"kernel: expected a Kernel or one of the names {', '.join(sorted(KERNELS))}, with its "
            f"parameters, got {spec!r}; a kernel of your own needs kernels.register first"
        )
    return kernel


@dataclass(frozen=True)
class _Combination(Kernel):
    """A kernel made of members; parameter `p` of member i is called `kernel<i>_p`."""

    kernels: tuple[Kernel, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.kernels, list | tuple) or not self.kernels:
            raise ConfigError(
                f"{type(self).__name__}: argument kernels expected a tuple of at least one kernel, "
                f"got {self.kernels!r}"
            )
        object.__setattr__(self, "kernels", tuple(map(make_kernel, self.kernels)))

    def initial_parameters(self) -> dict[str, float]:
        """Return the parameters of all members, named by the member's number."""
        return {
            f"kernel{i}_{name}": value
            for i, member in enumerate(self.kernels)
            for name, value in member.initial_parameters().items()
        }

    def _kappas(self, u: Array, parameters: Mapping[str, Array | float]) -> list[Array]:
        """Return kappa of each member, called with its share of the parameters."""
        known = self.initial_parameters()
        unknown = parameters.keys() - known.keys()
        if unknown:
            raise ConfigError(
                f"{type(self).__name__}: expected parameters among {', '.join(known) or 'none'}, "
                f"got {', '.join(sorted(unknown))}"
            )
        kappas = []
        for i, member in enumerate(self.kernels):
            names = {name: f"kernel{i}_{name}" for name in member.initial_parameters()}
            options = {name: parameters[key] for name, key in names.items() if key in parameters}
            kappas.append(member.kappa(u, **options))
        return kappas


@register("sum")
@dataclass(frozen=True)
class Sum(_Combination):
    """A convex combination of kernels: `Sum((k1, k2), (0.3, 0.7))`.

    `0.3 * k1 + 0.7 * k2` is the same kernel. The factors of that expression must be
    > 0, since `0 * k1` alone is not a kernel; here a weight may be 0.

    Parameters
    ----------
    kernels
        Kernels, their names or configs.
    weights
        A number >= 0 for each, at least one of them > 0; they are divided by their sum,
        so that kappa(1) = 1. Default: 1 for each.

    Raises
    ------
    ConfigError
        If kernels or weights are not of this kind.

    Examples
    --------
    >>> Sum(("linear", "polynomial"), (1, 3)).kappa(np.array([1.0, 0.5]))
    array([1.    , 0.3125])
    """

    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        weights: Any = self.weights
        weights = weights.tolist() if hasattr(weights, "tolist") else weights
        weights = (1.0,) * len(self.kernels) if weights == () else weights
        if (
            not isinstance(weights, list | tuple)
            or len(weights) != len(self.kernels)
            or not all(is_finite(weight) and weight >= 0 for weight in weights)
            or not any(weights)
        ):
            raise ConfigError(
                f"Sum: argument weights expected {len(self.kernels)} numbers >= 0, one per kernel, "
                f"at least one of them > 0, got {weights!r}"
            )
        object.__setattr__(self, "weights", tuple(map(float, weights)))

    def shares(self) -> tuple[float, ...]:
        """Return the weights divided by their sum."""
        total = math.fsum(self.weights)
        return tuple(weight / total for weight in self.weights)

    def kappa(self, u: Array, **parameters: Array | float) -> Array:
        """Return the weighted mean of the members' kappa."""
        return reduce(operator.add, map(operator.mul, self.shares(), self._kappas(u, parameters)))


@register("product")
@dataclass(frozen=True)
class Product(_Combination):
    """A product of kernels: `Product((k1, k2))`, which is `k1 * k2`.

    Parameters
    ----------
    kernels
        Kernels, their names or configs.

    Raises
    ------
    ConfigError
        If kernels are not of this kind.

    Examples
    --------
    >>> Product(("linear", "polynomial")).kappa(np.array([1.0, 0.5]))
    array([1.   , 0.125])
    """

    def kappa(self, u: Array, **parameters: Array | float) -> Array:
        """Return the product of the members' kappa."""
        return reduce(operator.mul, self._kappas(u, parameters))


def _scale(factor: float, kernel: Kernel) -> Sum:
    """Return a kernel as a Sum, with the weights multiplied by a factor."""
    terms = kernel if isinstance(kernel, Sum) else Sum((kernel,))
    return Sum(terms.kernels, tuple(factor * weight for weight in terms.weights))


def _add(left: Kernel, right: Kernel) -> Sum:
    """Return the Sum of the terms of both."""
    a = _scale(1, left)
    b = _scale(1, right)
    return Sum(a.kernels + b.kernels, a.weights + b.weights)


def _multiply(left: Kernel, right: Kernel) -> Kernel:
    """Return the product of the factors of both.

    Its weight is the product of the sums of weights of the Sums among them.
    """
    product = Product(_factors(left) + _factors(right))
    sums = [kernel for kernel in (left, right) if isinstance(kernel, Sum)]
    weight = math.prod(math.fsum(kernel.weights) for kernel in sums)
    return product if weight == 1 else _scale(weight, product)


def _factors(kernel: Kernel) -> tuple[Kernel, ...]:
    if isinstance(kernel, Sum) and len(kernel.kernels) == 1:
        return _factors(kernel.kernels[0])
    return kernel.kernels if isinstance(kernel, Product) else (kernel,)
