import re
import runpy
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the picture needs the extra [plot]")
pytest.importorskip("sklearn", reason="scikit-learn, a development tool, has the support vector machine")

SCRIPT = Path(__file__).parents[2] / "examples" / "kernel_trick.py"


def test_the_kernel_separates_what_the_line_does_not_and_the_picture_is_written(tmp_path, monkeypatch, capsys) -> None:
    picture = tmp_path / "kernel_trick.png"
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(picture)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    linear, kernel = (int(percent) for percent in re.findall(r": (\d+)% of new points", capsys.readouterr().out))
    assert linear < 75
    assert kernel >= 98
    assert picture.read_bytes().startswith(b"\x89PNG")
