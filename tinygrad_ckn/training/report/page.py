"""The page: facts of runs put into the templates by Jinja2."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import tinygrad_ckn
from tinygrad_ckn.errors import MissingPackageError, how_to_install
from tinygrad_ckn.files import PathLike, atomic_write
from tinygrad_ckn.models import CKN, CNN
from tinygrad_ckn.training.report.facts import Facts, facts_of
from tinygrad_ckn.training.run import Run

REPORT = "report.html"
# Near the beginning of each report.
MADE_BY = '<meta name="generator" content="tinygrad-ckn'


def render(runs: Sequence[Facts]) -> str:
    """Return the report of one or more runs as one HTML page.

    It refers to no other file or address and has no scripts; texts of the runs, such as
    names of classes and paths, are escaped.

    Raises
    ------
    MissingPackageError
        If Jinja2 is not installed.
    """
    template = _environment().get_template("page.html.jinja")
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs side by side"
    page: str = template.render(runs=runs, title=title, version=tinygrad_ckn.__version__)
    return page


def write_report(
    runs: Sequence[Run],
    path: PathLike | None = None,
    *,
    model: CKN | CNN | None = None,
    test: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report of one or more runs, and return its path.

    Parameters
    ----------
    runs
        One or more, finished or not.
    path
        The HTML file, written or replaced; None: report.html in the folder of the first.
    model
        The model of the only run, if it is in memory; None: it is read.
    test
        The line of the test of the only run, if metrics.jsonl does not have it yet.

    Raises
    ------
    MissingPackageError
        If Jinja2 or Pillow is not installed.
    DataError
        If a file of a run is damaged, or the folder of `path` does not exist.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     run = Run.create(f"{parent}/run", {"options": {}})
    ...     "is not finished" in write_report([run]).read_text(encoding="utf-8")
    True
    """
    path = runs[0].folder / REPORT if path is None else Path(path)
    facts = [facts_of(run, model, test) for run in runs]
    # Paths may have bytes that are no UTF-8.
    atomic_write(path, render(facts).encode(errors="replace"))
    return path


def framed(run: Run) -> str:
    """Return the report of a run in a frame for a notebook, whose styles it leaves alone."""
    page = escape(render([facts_of(run)]))
    return f'<iframe sandbox srcdoc="{page}" title="report" width="100%" height="640"></iframe>'


@functools.cache
def _environment() -> Any:
    """Return Jinja2's environment, which escapes all texts; it keeps compiled templates."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"report: expected Jinja2 to make a page, got no such package; "
            f"{how_to_install('report')}"
        ) from error
    return Environment(
        loader=PackageLoader("tinygrad_ckn.training.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
