"""Gradient checks for your own functions; the strategies need the extra `[test]`."""

from tinygrad_ckn.testing.contract import check_contract
from tinygrad_ckn.testing.gradcheck import (
    Comparison,
    Report,
    check_adjoint,
    check_jvp,
    check_module,
    gradcheck,
    gradgradcheck,
)

__all__ = [
    "Comparison",
    "Report",
    "check_adjoint",
    "check_contract",
    "check_jvp",
    "check_module",
    "gradcheck",
    "gradgradcheck",
]


def __dir__() -> list[str]:
    return sorted(__all__)
