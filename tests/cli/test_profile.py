import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from tinygrad_ckn.training import Run


def test_a_profile_is_shown_and_its_trace_kept(
    tinygrad_ckn: Callable[..., subprocess.CompletedProcess[str]], archive: Path, tmp_path: Path
):
    options = (
        "--data",
        archive,
        "--model",
        "unsup-32-64",
        "--mode",
        "supervised",
        "--epochs",
        1,
        "--n-patches",
        500,
    )
    finished = tinygrad_ckn("train", *options, "--profile", "--out", tmp_path / "run")
    assert (finished.returncode, finished.stderr) == (0, "")
    lines = [line.strip() for line in finished.stdout.splitlines()]
    phases = {
        found[1] for line in lines if (found := re.fullmatch(r"(\w+) +\d+\.\d{3} +\d+\.\d%", line))
    }
    assert {"preparation", "filters", "batch", "epoch", "classifier", "save", "evaluate"} <= phases
    assert any(
        re.fullmatch(r"batch +\w+ +backward +\d+ +\d+\.\d{3} +\d+\.\d% +\d+\.\d", line)
        for line in lines
    )
    assert any(
        re.fullmatch(r"k-means +k-means, assignment +\d+ +\d+\.\d{3} +\d+\.\d% +0\.0", line)
        for line in lines
    )
    assert any(re.fullmatch(r"outside of them +\d+\.\d{3} +\d+\.\d%", line) for line in lines)
    events = json.loads((tmp_path / "run" / "trace.json").read_text())["traceEvents"]
    assert {event["cat"] for event in events} == {"forward", "backward", "function", "phase"}
    assert Run.open(tmp_path / "run").load()


def test_without_profile_there_is_no_trace(run_folder: Path):
    assert not (run_folder / "trace.json").exists()
