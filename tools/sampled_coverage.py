"""A pytest plugin: coverage that stops tracing a test once repeating it shows no new line.

Before Python 3.12, coverage.py traces every line of every module, which more than
doubles the time of the suite. Most of that time repeats lines that are known already: a
test with 300 parameters, a property with 25 draws. With `--cov`, this plugin lets
coverage trace

- the import of every module of the package, and nothing else while tests are collected,
- each fixture and each test function, the draws of Hypothesis included, until
  `PATIENCE` runs in a row have shown no line that was new to the process.

The engine of Hypothesis, pytest itself and tests marked `untraced`, which repeat one
thing hundreds of times, are not traced. What is measured is therefore
a lower bound: a line that only the tenth draw reaches may be missed, and a line that is
reported as covered was executed. Without a trace function (no `--cov`, or coverage.py
on `sys.monitoring`, its default from Python 3.14) the plugin does nothing.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
from collections import Counter
from collections.abc import Callable, Generator
from typing import Any

import pytest

import tinygrad_ckn
from tools.tracing import coverage_trace

PATIENCE = 3


class Sampler:
    """Switches a trace function on for runs that may show new lines.

    Parameters
    ----------
    trace
        The trace function of coverage.py; its `data` has the lines of each file.
    """

    def __init__(self, trace: Any) -> None:
        self.trace = trace
        self.runs_without_new_lines: Counter[str] = Counter()

    def n_lines(self) -> int:
        """Return the number of lines that this process has covered."""
        return sum(map(len, self.trace.data.values()))

    def wants(self, key: str) -> bool:
        """Return whether another run of a test may show something new."""
        return self.runs_without_new_lines[key] < PATIENCE

    def enter(self, key: str, n_new: int) -> None:
        """Enter how many new lines a run of a test has shown."""
        self.runs_without_new_lines[key] = 0 if n_new else self.runs_without_new_lines[key] + 1

    def sampled(self, key: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is traced while its calls show new lines."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not self.wants(key):
                return function(*args, **kwargs)
            before = self.n_lines()
            sys.settrace(self.trace)
            try:
                return function(*args, **kwargs)
            finally:
                sys.settrace(None)
                self.enter(key, self.n_lines() - before)

        return call

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Trace a test function; of a property, each draw by itself."""
        if pyfuncitem.get_closest_marker("untraced"):
            return (yield)
        key = f"{pyfuncitem.path}::{pyfuncitem.originalname}"
        hypothesis = getattr(pyfuncitem.obj, "hypothesis", None)
        if hypothesis is not None:
            if not hasattr(hypothesis.inner_test, "is_sampled"):
                hypothesis.inner_test = self.sampled(key, hypothesis.inner_test)
                hypothesis.inner_test.is_sampled = True
            return (yield)
        return (yield from self._traced(key))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, object, object]:
        """Trace a fixture."""
        return (yield from self._traced(f"{fixturedef.baseid}::{fixturedef.argname}"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Trace a doctest."""
        if isinstance(item, pytest.Function):
            return (yield)
        return (yield from self._traced(item.nodeid))

    def _traced(self, key: str) -> Generator[None, object, object]:
        if not self.wants(key):
            return (yield)
        before = self.n_lines()
        sys.settrace(self.trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            self.enter(key, self.n_lines() - before)


def import_all() -> None:
    """Import every module of the package."""
    for module in pkgutil.walk_packages(tinygrad_ckn.__path__, "tinygrad_ckn."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Trace the modules of the package while they are imported, and no test module."""
    trace = coverage_trace()
    if trace is None:
        return (yield)
    import_all()
    sys.settrace(None)
    session.config.pluginmanager.register(Sampler(trace), "sampled_coverage")
    return (yield)
