import re
import runpy
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="the support vector machine needs the extra [sklearn]")

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "kernel_trick.py"


def test_the_extras_that_it_names_bring_what_it_imports() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    (names,) = re.findall(r"pip install -e '\.\[([\w,]+)\]'", SCRIPT.read_text())
    requirements = [requirement for name in names.split(",") for requirement in extras[name]]
    for package in ("scikit-learn", "matplotlib"):
        assert any(requirement.startswith(package) for requirement in requirements)


def test_the_kernel_separates_the_spirals_and_a_line_does_not(
    tmp_path, monkeypatch, capsys
) -> None:
    picture = tmp_path / "kernel_trick.png"
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(picture)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    linear, kernel = (
        int(percent) for percent in re.findall(r": (\d+)% of new points", capsys.readouterr().out)
    )
    assert linear < 75
    assert kernel >= 98
    assert picture.read_bytes().startswith(b"\x89PNG")
