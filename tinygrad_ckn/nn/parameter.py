"""Parameter: a Tensor that is trained."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.errors import DTypeError
from tinygrad_ckn.nn.constraint import Constraint
from tinygrad_ckn.tensor import Tensor


class Parameter(Tensor):
    """A Tensor that requires grad and that modules hand to optimisers; what is computed from it is a plain Tensor.

    Parameters
    ----------
    data
        Floating numbers, nested sequences of them, or an array of any backend; copied.
    constraint
        The set that optimisers keep it on, or None. The data are taken to lie on it:
        pass them through `constraint.retract` first if they do not.
    dtype
        As for NumPy; default: that of `data` (Python floats make float64).
    device
        "cpu" (NumPy) or "cuda" (CuPy); None: where the data are, of numbers and lists
        the CPU.

    Raises
    ------
    DTypeError
        If the data are not floating, or the constraint is none.
    BackendError
        If the device is unknown or not there.

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
        data: Any,
        *,
        constraint: Constraint | None = None,
        dtype: Any = None,
        device: str | None = None,
    ) -> None:
        if constraint is not None and (
            isinstance(constraint, type) or not isinstance(constraint, Constraint)
        ):
            raise DTypeError(
                "Parameter: argument constraint expected None or an object with the methods tangent and retract, "
                f"got {constraint!r}; pass for example Sphere()"
            )
        super().__init__(data, requires_grad=True, dtype=dtype, device=device)
        self._constraint = constraint

    @property
    def constraint(self) -> Constraint | None:
        """The set that optimisers keep this parameter on; None if it is free."""
        return self._constraint

    def __reduce__(self) -> Any:
        """Pickle and copy by value: data, constraint and requires_grad, without the gradient."""
        return _rebuild, (
            type(self),
            self.numpy(),
            self._constraint,
            self.requires_grad,
            self.device,
        )


def _rebuild(
    kind: type[Parameter],
    data: Any,
    constraint: Constraint | None,
    requires_grad: bool,
    device: str,
) -> Parameter:
    parameter = kind(data, constraint=constraint, device=device)
    parameter.requires_grad = requires_grad
    return parameter
