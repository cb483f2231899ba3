"""Run suites, for `tinygrad-ckn bench`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks import chart, device_report, report
from benchmarks import gpu_specs as cards
from benchmarks.machine import describe
from benchmarks.measure import Result, measure
from benchmarks.suite import BenchmarkError, Settings, Suite
from benchmarks.suites import SUITES
from tinygrad_ckn.backend import use
from tinygrad_ckn.errors import ConfigError


def list_suites(console: Console) -> None:
    """Print one line per suite."""
    for suite in SUITES.values():
        console.print(
            f"{suite.name:<13}{suite.title}", markup=False, highlight=False, soft_wrap=True
        )


def chosen(names: Sequence[str], device: str, suites: Mapping[str, Suite] = SUITES) -> list[Suite]:
    """Return the suites of these names, or else all that the device can run.

    Raises
    ------
    ConfigError
        If there is no suite of a name, or it does not run on the device.
    """
    for name in names:
        if name not in suites:
            raise ConfigError(
                f"bench: argument SUITE expected one of {', '.join(suites)}, got {name!r}"
            )
        if device not in suites[name].devices:
            raise ConfigError(
                f"bench: suite {name} runs on {' and '.join(suites[name].devices)}, "
                f"got --device {device}"
            )
    return [suites[name] for name in names] or [
        suite for suite in suites.values() if device in suite.devices
    ]


def run(suites: Sequence[Suite], settings: Settings, out: Path, console: Console) -> dict[str, str]:
    """Run suites one after another, and print and write the results of each when it ends.

    The files are results.json and SUITE.png.

    Returns
    -------
    dict
        Error by name of the suites that failed; the others continue.

    Raises
    ------
    BackendError
        If the device is not available.
    """
    backend = use(settings.device)
    card = cards.present(backend.xp) if settings.device == "cuda" else None
    out.mkdir(parents=True, exist_ok=True)
    machine = describe(settings.device)
    if card is not None:
        machine["roofline"] = device_report.roofline(card)
    for name, value in machine.items():
        console.print(f"{name:<14}{value}", markup=False, highlight=False, soft_wrap=True)
    results: dict[str, list[Result]] = {}
    failures: dict[str, str] = {}
    for suite in suites:
        suite_settings = replace(settings, threads=suite.threads or settings.threads)
        results[suite.name] = []
        try:
            _run_suite(suite, suite_settings, console, results[suite.name])
        except BenchmarkError as error:
            failures[suite.name] = str(error)
            console.print(
                f"{suite.name} ends here: {error}", style="red", markup=False, soft_wrap=True
            )
        if card is None:
            report.show(console, results[suite.name])
        else:
            device_report.show(console, results[suite.name], card)
        report.write_json(out / "results.json", report.as_json(machine, results, failures))
        if results[suite.name]:
            caption = f"{machine['processor']}, {suite_settings.threads} threads, {machine['date']}"
            chart.draw(out / f"{suite.name}.png", results[suite.name], caption)
    console.print(f"results in {out}", markup=False, highlight=False, soft_wrap=True)
    return failures


def _run_suite(suite: Suite, settings: Settings, console: Console, results: list[Result]) -> None:
    with console.status("") as status:
        for case in suite.cases(settings):
            results.append(measure(case, settings, status.update))
