"""The benchmark of memory on folders of pictures, on a few pictures."""

import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import folder_memory
from benchmarks.suite import BenchmarkError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's ru_maxrss")


def test_folders_are_trained_on_and_their_peaks_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    def train(command: list[str]) -> int:
        folder = Path(command[command.index("--data") + 1])
        pictures = []
        for path in folder.glob("*/*.png"):
            with Image.open(path) as picture:
                pictures.append(picture.size)
        seen.append((len(pictures), set(pictures), command[-2:]))
        return 10**9 * len(seen)

    monkeypatch.setattr(folder_memory, "peak_of", train)
    folder_memory.main("--gb 5e-5 1e-4 --size 12 --memory 1B".split())
    memory = ["--memory", "1B"]
    assert seen == [(29, {(12, 12)}, memory), (58, {(12, 12)}, memory)]
    printed = capsys.readouterr().out
    assert "29 pictures of 3x12x12, 5e-05 GB:" in printed
    assert printed.endswith("ratio of the last to the first: 2.00\n")


def test_the_peak_is_that_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    import resource  # not on Windows

    # Until it is started, a process counts the memory of this one.
    size = max(8 * 10**8, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + 10**8)
    code = f"x = b'1' * {size}; del x; print('one'); print('two')"
    assert size < folder_memory.peak_of([sys.executable, "-S", "-c", code]) < size + 1e8
    assert capsys.readouterr().out == "  two\n"


def test_a_command_that_fails_is_an_error() -> None:
    with pytest.raises(BenchmarkError, match="to succeed, got exit status 3"):
        folder_memory.peak_of([sys.executable, "-S", "-c", "raise SystemExit(3)"])
