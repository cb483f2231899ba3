import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.cli import display as _display
from tinygrad_ckn.models import Progress

FILTERS = Progress("filters", 1, 2, {"mean_cosine": 0.95, "seconds": 1.0})
CLASSIFIER = Progress(
    "classifier",
    1,
    1,
    {"l2": 1e-6, "held_out_error_1e-06": 0.25, "held_out_error_1e-07": 0.5, "seconds": 2.0},
)
EPOCH = Progress("epoch", 1, 3, {"loss": 0.5, "train_accuracy": 0.75, "lr": 0.1, "seconds": 4.0})


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return terminal


def plain(text: str) -> str:
    """Return a text without the control sequences of a terminal."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (FILTERS, "filters of layer 1 of 2: mean cosine 0.9500, 1.0 s"),
        (CLASSIFIER, "classifier: l2 1e-06, held-out accuracy 0.7500, 2.0 s"),
        (Progress("classifier", 1, 1, {"l2": 0.1, "seconds": 2.0}), "classifier: l2 0.1, 2.0 s"),
        (Progress("start", 0, 3, {"lr": 0.1, "validation_accuracy": 0.5}), None),
        (
            Progress("kept", 2, 3, {"validation_accuracy": 0.9}),
            "kept epoch 2 of 3: validation 0.9000",
        ),
        (
            Progress("kept", 0, 3, {"validation_accuracy": 0.9}),
            "kept the start, no epoch was better: validation 0.9000",
        ),
        (Progress("kept", 3, 3), "kept epoch 3 of 3"),
        (EPOCH, "epoch 1 of 3: loss 0.5000, accuracy 0.7500, 4.0 s"),
        (
            Progress(
                "epoch",
                1,
                3,
                {**EPOCH.values, "validation_accuracy": 0.875, "validation_loss": 0.6},
            ),
            "epoch 1 of 3: loss 0.5000, accuracy 0.7500, validation 0.8750, 4.0 s",
        ),
        (Progress("filters", 0, 2), None),
        (Progress("batch", 1, 9, {"loss": 1.0, "images_per_second": 5.0}), None),
        (Progress("evaluate", 9, 9, {"images_per_second": 5.0}), None),
    ],
)
def test_lines(progress: Progress, line: str | None):
    assert _display.line_of(progress) == line


def test_a_pipe_gets_only_lines(capsys: pytest.CaptureFixture[str]):
    with _display.Display() as display:
        for progress in (
            Progress("filters", 0, 2),
            FILTERS,
            Progress("batch", 1, 9, {"images_per_second": 5.0}),
            EPOCH,
        ):
            display(progress)
    assert capsys.readouterr().out == (
        "filters of layer 1 of 2: mean cosine 0.9500, 1.0 s\nepoch 1 of 3: loss 0.5000, accuracy "
        "0.7500, 4.0 s\n"
    )


def test_a_terminal_gets_a_bar_with_rate_and_remaining_time(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "stdout", terminal)
    with _display.Display() as display:
        display(Progress("filters", 0, 2))
        display(FILTERS)
        display._bar.refresh()
        assert "filters" in plain(terminal.getvalue())
        assert "1/2" in plain(terminal.getvalue())
        for done in range(1, 5):
            display(Progress("batch", done, 9, {"images_per_second": 1234.0}))
        display(EPOCH)
        terminal.truncate(0)
        display._bar.refresh()
        assert re.search(r"batch .*4/9 1,234 images/s .* remaining", plain(terminal.getvalue()))
        assert len(display._bar.tasks) == 1


@given(
    st.lists(
        st.tuples(st.sampled_from(["l2", "batch"]), st.integers(0, 9), st.integers(0, 9)),
        max_size=8,
    )
)
def test_the_bar_never_shows_more_than_its_total(steps: list[tuple[str, int, int]]):
    terminal = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "120")
        patch.setattr(sys, "stdout", terminal)
        with _display.Display() as display:
            for phase, done, more in steps:
                display(Progress(phase, done, done + more))
                display._bar.refresh()
    shown = re.findall(r"(\d+)/(\d+)", plain(terminal.getvalue()))
    assert [pair for pair in shown if int(pair[0]) > int(pair[1])] == []
    assert set(shown) >= {(str(done), str(done + more)) for _, done, more in steps}


def test_a_terminal_keeps_the_lines_and_loses_the_bar(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "stdout", terminal)
    with _display.Display() as display:
        display(Progress("filters", 0, 2))
        display(FILTERS)
        display(EPOCH)
    text = terminal.getvalue()
    assert "filters of layer 1 of 2: mean cosine 0.9500, 1.0 s\n" in plain(text)
    assert "epoch 1 of 3: loss 0.5000" in plain(text)
    # The line of the bar is erased,
    assert text.endswith("\x1b[2K")
    # and the cursor is shown again.
    assert "\x1b[?25h" in text


def test_the_cursor_comes_back_after_an_error(terminal: Terminal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdout", terminal)
    with pytest.raises(KeyboardInterrupt), _display.Display() as display:
        display(FILTERS)
        raise KeyboardInterrupt
    assert terminal.getvalue().rindex("\x1b[?25h") > terminal.getvalue().rindex("\x1b[?25l")


def test_training_on_a_terminal_ends_with_the_accuracy(archive: Path, tmp_path: Path):
    master, slave = pty.openpty()
    arguments = [
        "train",
        "--data",
        archive,
        "--model",
        "unsup-32-64",
        "--n-patches",
        "500",
        "--threads",
        "1",
        "--out",
        tmp_path / "run",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "tinygrad_ckn", *map(str, arguments)],
        stdout=slave,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        os.close(slave)
        chunks = []
        while True:
            try:
                chunk = os.read(master, 65536)
            except OSError:
                # Linux: the other end is closed
                break
            if not chunk:
                break
            chunks.append(chunk)
        assert process.wait() == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    os.close(master)
    text = b"".join(chunks).decode()
    assert "\x1b[" in text
    assert re.search(r"filters .*0/2", plain(text))
    assert re.fullmatch(r"test accuracy 0\.\d{4} \(\d+/80\)", text.splitlines()[-1])
