"""The skip list of the standard's own tests."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "array_api_tests.py"
spec = importlib.util.spec_from_file_location("array_api_tests_script", SCRIPT)
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


def test_each_line_of_the_list_has_its_reason():
    skips = script.read_skips(script.SKIPS.read_text())
    assert len(skips) > 10
    assert all(len(reason) > 10 for reason in skips.values())
    with pytest.raises(SystemExit, match=r"line 2: expected PART \| REASON, got 'test_x'"):
        script.read_skips("# head\ntest_x\n")


def test_named_tests_are_left_out_and_lines_without_a_test_are_told(capsys):
    class Item:
        def __init__(self, nodeid):
            self.nodeid = nodeid

    class Config:
        class hook:
            pytest_deselected = staticmethod(lambda items: None)

    plugin = script.Skips({"test_setitem": "a", "test_no_such": "b"})
    items = [Item("f.py::test_setitem[1]"), Item("f.py::test_getitem")]
    plugin.pytest_collection_modifyitems(Config, items)
    assert [item.nodeid for item in items] == ["f.py::test_getitem"]
    assert not plugin.report({"test_setitem": "a", "test_no_such": "b"})
    assert "1 left out: test_setitem | a" in capsys.readouterr().out


def test_without_a_copy_nothing_runs(monkeypatch):
    monkeypatch.delenv("ARRAY_API_TESTS", raising=False)
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True)
    assert "ARRAY_API_TESTS is not set" in done.stdout
