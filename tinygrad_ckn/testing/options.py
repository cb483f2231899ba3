"""The options shared by all checks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tinygrad_ckn.errors import ConfigError, GradientError
from tinygrad_ckn.testing.verdict import TOLERANCE, Report


@dataclass(frozen=True)
class Options:
    """Options of a check; see `gradcheck`."""

    tolerance: float | None
    seed: int
    eps: float | None
    atol: float
    rtol: float | None
    nondet_tol: float
    raise_exception: bool

    def __post_init__(self) -> None:
        if self.tolerance is not None and self.rtol is not None:
            raise ConfigError(
                "gradcheck: expected tolerance or rtol, which are the same, got both; leave one out"
            )
        for name in ("tolerance", "rtol", "eps", "atol", "nondet_tol"):
            value = getattr(self, name)
            if value is not None and not (
                math.isfinite(value) and value >= 0 and (value or name != "eps")
            ):
                least = "> 0" if name == "eps" else ">= 0"
                raise ConfigError(
                    f"gradcheck: argument {name} expected a number {least}, got {value!r}"
                )

    def relative(self, order: int) -> float:
        """Return the relative tolerance at an order."""
        given = self.tolerance if self.tolerance is not None else self.rtol
        return TOLERANCE[order] if given is None else given

    @contextmanager
    def entering(self, report: Report) -> Iterator[None]:
        """Record a GradientError in a report if errors are not to be raised."""
        try:
            yield
        except GradientError as error:
            if self.raise_exception:
                raise
            report.fail(error)
