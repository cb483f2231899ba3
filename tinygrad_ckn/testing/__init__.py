"""Checks of derivatives, for your own functions as for this library's; the strategies need the extra `[test]`."""

from tinygrad_ckn.testing.contract import check_hygiene
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
    "check_hygiene",
    "check_jvp",
    "check_module",
    "gradcheck",
    "gradgradcheck",
]


def __dir__() -> list[str]:
    return sorted(__all__)
