import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "scripts" / "fuzz.py"


@pytest.mark.skipif(
    sys.platform == "win32", reason="limits of time and memory need signal.setitimer and resource"
)
def test_damaged_files_are_read_correctly_or_refused_in_a_sentence():
    done = subprocess.run(
        [sys.executable, str(FUZZ), "--count", "300"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "300 damaged files" in done.stdout
    assert " 0 faults; 24 mutators, 18 kinds" in done.stdout
