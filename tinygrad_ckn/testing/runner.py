"""Run the cases of all primitives and report the errors of their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st

from tinygrad_ckn.backend import use
from tinygrad_ckn.errors import ConfigError, GradientError
from tinygrad_ckn.testing.cases import CASES, Case, on_device
from tinygrad_ckn.testing.gradcheck import check_adjoint, gradcheck
from tinygrad_ckn.testing.op_cases import CHECKED

# imported for its cases
assert CHECKED


@dataclass
class Result:
    """The largest errors of a primitive over all draws; None for checks that do not apply."""

    name: str
    order1: float | None = None
    order2: float | None = None
    adjoint: float | None = None
    cases: int = 0
    verdict: str = "ok"
    message: str = ""


def _larger(a: float | None, b: float) -> float:
    return b if a is None else max(a, b)


_both_orders = partial(gradcheck, order=2)


def run_case(
    case: Case,
    *,
    examples: int,
    device: str,
    result: Result,
    check: Callable[..., Any] = _both_orders,
) -> None:
    """Check draws of a case and record the errors; the first failure raises GradientError."""

    # Hypothesis seeds its draws with the source of `run`, decorators included: an edit
    # of it changes the errors that are printed.
    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType]
    )
    @given(st.data())
    def run(data: Any) -> None:
        drawn = case.draw(data)
        function, args = case.call(drawn.options), on_device(drawn.args, device)
        for comparison in getattr(check(function, args), "comparisons", ()):
            if comparison.order == 1:
                result.order1 = _larger(result.order1, comparison.error)
            else:
                result.order2 = _larger(result.order2, comparison.error)
        if case.linear:
            result.adjoint = _larger(result.adjoint, check_adjoint(function, args).error)
        result.cases += 1

    run()


def run_cases(
    names: Sequence[str] | None = None,
    *,
    examples: int = 20,
    device: str = "cpu",
    on_result: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Check the derivatives of primitives, with the same draws in every run.

    Parameters
    ----------
    names
        Primitives to check; default None: all.
    examples
        Draws per case, >= 1; default 20.
    device
        "cpu" (default) or "cuda".
    on_result
        Called with each result as soon as it is known.

    Raises
    ------
    ConfigError
        If a name is unknown, or `examples` is not an integer >= 1.
    BackendError
        If the device is not available.

    Examples
    --------
    >>> [result.verdict for result in run_cases(["exp"], examples=2)]
    ['ok']
    """
    use(device)
    if examples < 1:
        raise ConfigError(
            f"gradcheck: argument examples expected an integer >= 1, got {examples!r}"
        )
    unknown = sorted(set(names or ()) - set(CASES))
    if unknown:
        raise ConfigError(
            f"gradcheck: expected names among {', '.join(sorted(CASES))}, got {', '.join(unknown)}"
        )
    results = []
    for name in sorted(names or CASES):
        result = Result(name)
        try:
            for case in CASES[name]:
                run_case(case, examples=examples, device=device, result=result)
        except GradientError as error:
            result.verdict = "FAIL"
            result.message = str(error)
        except Exception as error:
            # a rule may raise anything, and the others are still to be checked
            result.verdict = "FAIL"
            result.message = f"{name}: {type(error).__name__}: {error}"
        results.append(result)
        on_result(result)
    return results
