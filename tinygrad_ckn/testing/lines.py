"""Values or gradients of a problem along lines, as functions of one or two numbers."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn.testing.layout import with_layout_of
from tinygrad_ckn.testing.problem import Arrays, Problem, dot, norm, term_size


class Line:
    """The function s -> <upstream, f(origin + s direction) - f(origin)>, cached."""

    def __init__(self, problem: Problem, upstream: Arrays, base: Arrays, direction: Arrays) -> None:
        self.problem = problem
        self.upstream = upstream
        self.base = base
        self.direction = direction
        self.known: dict[float, float] = {0.0: 0.0}

    def __call__(self, s: float) -> float:
        """Return the value at s; NaN out of the domain."""
        if s not in self.known:
            self.known[s] = _rise(
                self.upstream, self.base, self.problem.moved_values((s, self.direction))
            )
        return self.known[s]

    def size(self) -> float:
        """Return the norm of the terms of <upstream, f> that change along the line."""
        return _changed_size(
            self.upstream, self.base, self.problem.moved_values((2.0**-5, self.direction))
        )


class Plane:
    """The function s, t -> <upstream, f(origin + s u + t v) - f(origin)>, cached."""

    def __init__(
        self, problem: Problem, upstream: Arrays, base: Arrays, u: Arrays, v: Arrays
    ) -> None:
        self.problem = problem
        self.upstream = upstream
        self.base = base
        self.u = u
        self.v = v
        self.known: dict[tuple[float, float], float] = {}

    def __call__(self, s: float, t: float) -> float:
        """Return the value at s, t; NaN out of the domain."""
        if (s, t) not in self.known:
            values = self.problem.moved_values((s, self.u), (t, self.v))
            self.known[s, t] = _rise(self.upstream, self.base, values)
        return self.known[s, t]


class GradientLine:
    """The function t -> <(J(origin + t v) - J(origin))^T upstream, u>, cached."""

    def __init__(
        self, problem: Problem, upstream: Arrays, pulled: Arrays, u: Arrays, v: Arrays
    ) -> None:
        self.problem = problem
        self.upstream = upstream
        self.pulled = pulled
        self.v = v
        self.along = problem.displacement(u)
        self.known: dict[float, float] = {0.0: 0.0}

    def gradients(self, t: float) -> list[Any]:
        """Return J(origin + t v)^T upstream."""
        moved = [
            x if d is None else with_layout_of(x, x + (t * unit) * d)
            for x, unit, d in zip(self.problem.origin, self.problem.units, self.v, strict=True)
        ]
        with self.problem.elsewhere(moved):
            return self.problem.pull(self.problem.outputs(), self.upstream)

    def __call__(self, t: float) -> float:
        """Return the value at t; NaN out of the domain."""
        if t not in self.known:
            try:
                there = self.gradients(t)
            except Exception as error:
                # a step out of the domain
                self.problem.step_error = error
                self.known[t] = math.nan
            else:
                self.known[t] = dot(self.along, there) - dot(self.along, self.pulled)
        return self.known[t]

    def size(self) -> float:
        """Return the norm of the terms of <J^T upstream, u>."""
        return term_size(self.along, self.pulled)


def _rise(upstream: Arrays, base: Arrays, values: Arrays | None) -> float:
    """Return <upstream, values - base>; subtracting first keeps rounding small."""
    if values is None or [y.shape for y in values] != [y.shape for y in base]:
        return math.nan
    return math.fsum(
        float((g * (y - b)).sum()) for g, y, b in zip(upstream, values, base, strict=True)
    )


def _changed_size(upstream: Arrays, base: Arrays, values: Arrays | None) -> float:
    """Return the norm of upstream * base over the elements where values differ from base."""
    if values is None or [y.shape for y in values] != [y.shape for y in base]:
        return term_size(upstream, base)
    return norm([g * b * (y != b) for g, y, b in zip(upstream, values, base, strict=True)])
