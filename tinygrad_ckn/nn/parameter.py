"""Parameter: a Tensor that is trained."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Array, DTypeLike
from tinygrad_ckn.errors import DTypeError
from tinygrad_ckn.nn.constraint import Constraint
from tinygrad_ckn.tensor import Tensor


class Parameter(Tensor):
    """A Tensor that requires grad and that modules pass to optimisers.

    Results computed from it are plain Tensors.

    Parameters
    ----------
    data
        Floating numbers, nested sequences of them, or an array of any backend; copied.
    constraint
        Set that optimisers keep the parameter on, or None (default). The data must lie
        on it: otherwise pass them through `constraint.retract` first.
    dtype
        As for NumPy; default: that of `data` (Python floats make float64).
    device
        "cpu" (NumPy) or "cuda" (CuPy); None (default) is the device of the data, and
        the CPU for numbers and lists.

    Raises
    ------
    DTypeError
        If the data are not floating, or the constraint is not a `Constraint`.
    BackendError
        If the device is unknown or not available.

    Examples
    --------
    >>> w = Parameter([1.0, 2.0])
    >>> w
    Parameter((2,), float64, cpu, requires_grad=True) [1. 2.]
    >>> w * 2
    Tensor((2,), float64, cpu, op=multiply) [2. 4.]
    """

    __slots__ = ("_constraint",)
    _constraint: Constraint | None

    def __init__(
        self,
        data: object,
        *,
        constraint: Constraint | None = None,
        dtype: DTypeLike | None = None,
        device: str | None = None,
    ) -> None:
        if constraint is not None and (
            isinstance(constraint, type) or not isinstance(constraint, Constraint)
        ):
            raise DTypeError(
                "Parameter: argument constraint expected None or an object with the methods "
                f"tangent and retract, got {constraint!r}; pass for example Sphere()"
            )
        super().__init__(data, requires_grad=True, dtype=dtype, device=device)
        self._constraint = constraint

    @property
    def constraint(self) -> Constraint | None:
        """Set that optimisers keep this parameter on; None if it is free."""
        return self._constraint

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by value: data, constraint and requires_grad, not the gradient."""
        return _rebuild, (
            type(self),
            self.numpy(),
            self._constraint,
            self.requires_grad,
            self.device,
        )


def _rebuild(
    cls: type[Parameter],
    data: Array,
    constraint: Constraint | None,
    requires_grad: bool,
    device: str,
) -> Parameter:
    parameter = cls(data, constraint=constraint, device=device)
    parameter.requires_grad = requires_grad
    return parameter
