"""Sums and products of kernels, which are kernels again: coefficients >= 0 stay so."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from functools import reduce
from typing import Any

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.kernels.base import Kernel, make_kernel
from tinygrad_ckn.ops import kappa as kappas
from tinygrad_ckn.ops.kappa import Kappa
from tinygrad_ckn.windows import is_finite


@dataclass(frozen=True)
class _Combined(Kernel):
    """A kernel made of members; the parameter `p` of member i is called `kernel<i>_p`."""

    kernels: tuple[Kernel, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.kernels, list | tuple) or not self.kernels:
            raise ConfigError(
                f"{type(self).__name__}: argument kernels expected a tuple of one kernel at least, got {self.kernels!r}"
            )
        object.__setattr__(self, "kernels", tuple(map(make_kernel, self.kernels)))

    def initial_parameters(self) -> dict[str, float]:
        """Return the parameters of all members, with the member's number in the name."""
        return {
            f"kernel{i}_{name}": value
            for i, member in enumerate(self.kernels)
            for name, value in member.initial_parameters().items()
        }

    def _with_parameters(self, parameters: dict[str, Any]) -> list[tuple[Kernel, dict[str, Any]]]:
        """Return each member with what is its own among the parameters."""
        unknown = parameters.keys() - self.initial_parameters().keys()
        if unknown:
            raise ConfigError(
                f"{type(self).__name__}: expected parameters among {', '.join(self.initial_parameters()) or 'none'}, "
                f"got {', '.join(sorted(unknown))}"
            )
        return [
            (
                member,
                {
                    p: parameters[key]
                    for p in member.initial_parameters()
                    if (key := f"kernel{i}_{p}") in parameters
                },
            )
            for i, member in enumerate(self.kernels)
        ]

    def _kappas(self, u: Any, parameters: dict[str, Any]) -> list[Any]:
        return [member.kappa(u, **own) for member, own in self._with_parameters(parameters)]

    def _fused(self, parameters: dict[str, Any]) -> list[Kappa] | None:
        """Return all members' Kappa, or None where one has none."""
        found = [member.fused(**own) for member, own in self._with_parameters(parameters)]
        known = [kappa for kappa in found if kappa is not None]
        return known if len(known) == len(found) else None


@dataclass(frozen=True)
class Sum(_Combined):
    """A convex combination of kernels: `Sum((k1, k2), (0.3, 0.7))`, which is `0.3 * k1 + 0.7 * k2`.

    As an operator a factor has to be > 0, for `0 * k1` by itself is no kernel; here a
    weight may be 0.

    Parameters
    ----------
    kernels
        Kernels, their names or configs.
    weights
        A number >= 0 for each, one of them > 0; they are divided by their sum, so that
        kappa(1) = 1. Left out: 1 for each.

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
        given = self.weights.tolist() if hasattr(self.weights, "tolist") else self.weights
        given = (1.0,) * len(self.kernels) if given == () else given
        if (
            not isinstance(given, list | tuple)
            or len(given) != len(self.kernels)
            or not all(is_finite(weight) and weight >= 0 for weight in given)
            or not any(given)
        ):
            raise ConfigError(
                f"Sum: argument weights expected {len(self.kernels)} numbers >= 0, one a kernel and one of them > 0, "
                f"got {given!r}"
            )
        object.__setattr__(self, "weights", tuple(map(float, given)))

    def shares(self) -> tuple[float, ...]:
        """Return the weights divided by their sum."""
        total = math.fsum(self.weights)
        return tuple(weight / total for weight in self.weights)

    def kappa(self, u: Any, **parameters: Any) -> Any:
        """Return the weighted mean of the members' kappa."""
        return reduce(operator.add, map(operator.mul, self.shares(), self._kappas(u, parameters)))

    def fused(self, **parameters: Any) -> Kappa | None:
        """Return kappa with its derivative, if all members have one."""
        members = self._fused(parameters)
        return None if members is None else kappas.weighted_sum(members, self.shares())


@dataclass(frozen=True)
class Product(_Combined):
    """A product of kernels' kappas: `Product((k1, k2))`, which is `k1 * k2`.

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

    def kappa(self, u: Any, **parameters: Any) -> Any:
        """Return the product of the members' kappa."""
        return reduce(operator.mul, self._kappas(u, parameters))

    def fused(self, **parameters: Any) -> Kappa | None:
        """Return kappa with its derivative, if all members have one."""
        members = self._fused(parameters)
        return None if members is None else kappas.product(members)


def scaled(weight: float, member: Kernel) -> Sum:
    """Return a kernel as a sum of weighted terms, each weight times a number."""
    terms = member if isinstance(member, Sum) else Sum((member,))
    return Sum(terms.kernels, tuple(weight * own for own in terms.weights))


def added(left: Kernel, right: Kernel) -> Sum:
    """Return the sum of the terms of both."""
    a, b = scaled(1, left), scaled(1, right)
    return Sum(a.kernels + b.kernels, a.weights + b.weights)


def multiplied(left: Kernel, right: Kernel) -> Kernel:
    """Return the product of the factors of both; what the weights of sums among them add up to is its weight."""
    product = Product(_factors(left) + _factors(right))
    weight = math.prod(
        math.fsum(member.weights) for member in (left, right) if isinstance(member, Sum)
    )
    return product if weight == 1 else scaled(weight, product)


def _factors(member: Kernel) -> tuple[Kernel, ...]:
    if isinstance(member, Sum) and len(member.kernels) == 1:
        return _factors(member.kernels[0])
    return member.kernels if isinstance(member, Product) else (member,)
