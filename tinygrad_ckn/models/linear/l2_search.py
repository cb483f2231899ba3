"""The choice of l2 for a linear classifier: by the mistakes on examples held out, uphill from the middle of a scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tinygrad_ckn.backend import CPU, Generator
from tinygrad_ckn.fingerprints import whole_groups

# of k in l2 = 10^(-k/2): from 1e-2 to 1e-11
SCALE = range(4, 23)
MIDDLE = 12


class HeldOut(NamedTuple):
    """What a classifier does on examples held out: the share of mistakes, and the mean loss."""

    error: float
    loss: float


def l2_at(k: int) -> float:
    """Return the l2 of a place on the scale, rounded to two digits: 1e-6, 3.2e-7, 1e-7."""
    return float(f"{10 ** (-k / 2):.2g}")


def held_out_indices(n: int, random: Generator, groups: Any = None) -> Any:
    """Return the numbers of the examples to hold out, ascending: a tenth, of small sets up to a fifth.

    Examples of one of the groups (n,) stay together.
    """
    held = CPU.xp.zeros(n, "bool")
    held[random.permutation(n)[: max(1, min(max(n // 10, 1000), n // 5))]] = True
    return CPU.xp.flatnonzero(whole_groups(held, groups))


def choose_l2(
    solve: Callable[[float, Any], Any],
    measure: Callable[[Any], HeldOut],
    start: Any,
    report: Callable[[float, HeldOut], None],
) -> tuple[float, Any, dict[float, HeldOut]]:
    """Return the l2 of least error, of equal ones of least loss, its solution, and what was measured for each tried.

    A climb over decades from the middle of the scale, then over half decades: of a
    function with one valley it finds the bottom.

    Parameters
    ----------
    solve
        solve(l2, start) returns the solution for an l2, begun at another.
    measure
        What a solution does on the examples held out.
    start
        Of the first solution.
    report
        Called with each l2 tried and what was measured.
    """
    solutions: dict[int, Any] = {}
    found: dict[int, HeldOut] = {}

    def look(k: int, begin: Any) -> None:
        solutions[k] = solve(l2_at(k), begin)
        found[k] = measure(solutions[k])
        report(l2_at(k), found[k])

    best = MIDDLE
    look(best, start)
    for step in (2, 1):
        while True:
            for k in (best + step, best - step):
                if k in SCALE and k not in found:
                    look(k, solutions[best])
            nearest = min(found, key=lambda k: (found[k], abs(k - best)))
            if nearest == best:
                break
            best = nearest
    return l2_at(best), solutions[best], {l2_at(k): found[k] for k in found}
