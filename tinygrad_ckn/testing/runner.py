"""Runs the cases of all primitives, and says of each how far its derivatives are off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st

from tinygrad_ckn.backend import use
from tinygrad_ckn.errors import ConfigError, GradientError
from tinygrad_ckn.testing.cases import CASES, Case, on_device
from tinygrad_ckn.testing.gradcheck import check_adjoint, gradcheck
from tinygrad_ckn.testing.primitives import CHECKED

assert CHECKED  # imported for its cases


@dataclass
class Result:
    """A primitive's largest errors over all draws; None where there is nothing to check."""

    name: str
    order1: float | None = None
    order2: float | None = None
    adjoint: float | None = None
    cases: int = 0
    verdict: str = "ok"
    message: str = ""


def _larger(a: float | None, b: float) -> float:
    return b if a is None else max(a, b)


def _check(case: Case, draw: object, device: str, result: Result) -> None:
    """Check one draw of a case, and enter the errors into the result."""
    drawn = case.draw(draw)
    function, args = case.call(drawn.options), on_device(drawn.args, device)
    report = gradcheck(function, args, order=2)
    for comparison in report.comparisons:
        if comparison.order == 1:
            result.order1 = _larger(result.order1, comparison.error)
        else:
            result.order2 = _larger(result.order2, comparison.error)
    if case.linear:
        result.adjoint = _larger(result.adjoint, check_adjoint(function, args).error)
    result.cases += 1


def run_case(case: Case, *, examples: int, device: str, result: Result) -> None:
    """Check `examples` draws of a case; the first failure raises a GradientError."""

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def run(data: object) -> None:
        _check(case, data, device, result)

    run()


def run_cases(
    names: Sequence[str] | None = None,
    *,
    examples: int = 20,
    device: str = "cpu",
    on_result: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Check the derivatives of primitives, with the same draws every time.

    Parameters
    ----------
    names
        Which; None for all.
    examples
        Draws for each case.
    device
        "cpu" or "cuda".
    on_result
        Called with each result as it comes.

    Raises
    ------
    ConfigError
        If a name is unknown.
    BackendError
        If the device is not there.

    Examples
    --------
    >>> [result.verdict for result in run_cases(["exp"], examples=2)]
    ['ok']
    """
    use(device)
    if examples < 1:
        raise ConfigError(f"gradcheck: argument examples expected a whole number >= 1, got {examples!r}")
    unknown = sorted(set(names or ()) - set(CASES))
    if unknown:
        raise ConfigError(f"gradcheck: expected names among {', '.join(sorted(CASES))}, got {', '.join(unknown)}")
    results = []
    for name in sorted(names or CASES):
        result = Result(name)
        try:
            for case in CASES[name]:
                run_case(case, examples=examples, device=device, result=result)
        except GradientError as error:
            result.verdict, result.message = "FAIL", str(error)
        results.append(result)
        on_result(result)
    return results
