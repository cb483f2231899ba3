"""The examples of README.md and of the tutorials in docs/ run, and print what is said there."""

import contextlib
import io
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def examples(path):
    """Return the examples of a document, as pairs of code and output."""
    return re.findall(
        r"```python\n(.*?)```\n\n```text\n(.*?)```", path.read_text(), flags=re.DOTALL
    )


def printed(code, path, names):
    """Return what an example prints; names are the variables that it sees, and sets."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, str(path), "exec"), names)
    return output.getvalue()


@pytest.mark.parametrize(("code", "output"), examples(README), ids=range(len(examples(README))))
def test_examples_print_what_they_say(code, output):
    assert printed(code, README, {}) == output


@pytest.mark.parametrize(
    ("tutorial", "count"), [("data.md", 2), ("sklearn.md", 4), ("challenge.md", 6), ("runs.md", 1)]
)
def test_a_tutorial_prints_what_it_says_from_beginning_to_end(
    tutorial, count, tmp_path, monkeypatch
):
    path = ROOT / "docs" / tutorial
    names: dict[str, object] = {}
    # files that it writes
    monkeypatch.chdir(tmp_path)
    assert len(examples(path)) == path.read_text().count("```python") == count
    for code, output in examples(path):
        assert printed(code, path, names) == output


def test_there_are_examples_of_a_ckn_a_model_and_a_check():
    assert len(examples(README)) == 3


def test_commands_are_one_line_each_and_start_from_python_alone():
    for name in ("train", "test"):
        (command,) = re.findall(
            rf"<!-- {name}-command -->\n```sh\n(.*?)```", README.read_text(), flags=re.DOTALL
        )
        assert command.startswith("python3 -m venv .venv && ")
        assert command.count("\n") == 1
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_nothing_is_left_to_be_filled_in():
    assert not re.search(r"@[A-Z]+@", README.read_text())
