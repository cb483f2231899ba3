"""README.md's examples run, and print what it says."""

import contextlib
import io
import re
import subprocess
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize(("code", "output"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_print_what_they_say(code, output):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, str(README), "exec"), {})
    assert printed.getvalue() == output


def test_there_are_examples_of_a_ckn_a_model_and_a_check():
    assert len(EXAMPLES) == 3


def test_commands_are_one_line_each_and_start_from_python_alone():
    for name in ("train", "test"):
        (command,) = re.findall(rf"<!-- {name}-command -->\n```sh\n(.*?)```", README.read_text(), flags=re.DOTALL)
        assert command.startswith("python3 -m venv .venv && ")
        assert command.count("\n") == 1
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_nothing_is_left_to_be_filled_in():
    assert not re.search(r"@[A-Z]+@", README.read_text())
