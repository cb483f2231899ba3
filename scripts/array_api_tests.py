"""Run the Array API standard's own tests on Tensors; see docs/array-api.md.

    git clone --recurse-submodules https://github.com/data-apis/array-api-tests DIR
    pip install pytest-json-report ndindex
    ARRAY_API_TESTS=DIR python scripts/array_api_tests.py [-k EXPRESSION]

Without the variable it does nothing, and says so. Tests named in array_api_skips.txt are
left out; each line there has its reason, and a line that names no test is an error.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SKIPS = HERE / "array_api_skips.txt"
ENVIRONMENT = {
    "ARRAY_API_TESTS_MODULE": "tinygrad_ckn.ops",
    "ARRAY_API_TESTS_VERSION": "2024.12",
    "ARRAY_API_TESTS_SKIP_DTYPES": "complex64,complex128",
}
# The suite takes the maximum over the complex dtypes, of which there are none.
FILE = "array_api_tests/dtype_helpers.py"
BEFORE = "for dt in complex_dtypes], key=lambda x: x[1]"


def read_skips(text: str) -> dict[str, str]:
    """Return the reasons by the part of a test's name that they belong to."""
    skips: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        part, bar, reason = (piece.strip() for piece in line.partition(" | "))
        if not bar or not part or not reason:
            raise SystemExit(f"{SKIPS.name}, line {number}: expected PART | REASON, got {line!r}")
        skips[part] = reason
    return skips


class Skips:
    """Plugin of pytest that leaves out the tests of the skip list, and counts them."""

    def __init__(self, skips: dict[str, str]) -> None:
        self.found = dict.fromkeys(skips, 0)

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        """Deselect the tests whose name has a part of the list."""
        kept, left_out = [], []
        for item in items:
            parts = [part for part in self.found if part in item.nodeid]
            for part in parts:
                self.found[part] += 1
            (left_out if parts else kept).append(item)
        items[:] = kept
        config.hook.pytest_deselected(items=left_out)

    def report(self, reasons: dict[str, str]) -> bool:
        """Print the number of tests of each line; return whether each has some."""
        for part, count in self.found.items():
            print(f"{count:5} left out: {part} | {reasons[part]}")
        return all(self.found.values())


def main() -> int:
    """Run the suite; return pytest's exit status, 1 where a line of the list names no test."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("-k", metavar="EXPRESSION", help="run tests of these names, as pytest does")
    parser.add_argument("--max-examples", metavar="N", type=int, help="examples of each test")
    options = parser.parse_args()
    source = os.environ.get("ARRAY_API_TESTS")
    if not source:
        print("ARRAY_API_TESTS is not set: the standard's own tests are not run")
        return 0
    reasons = read_skips(SKIPS.read_text())
    plugin = Skips(reasons)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "array-api-tests"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns(".git", ".hypothesis"))
        helpers = copy / FILE
        helpers.write_text(helpers.read_text().replace(BEFORE, f"{BEFORE}, default=(None,)"))
        os.environ.update(ENVIRONMENT)
        sys.path[:0] = [str(HERE.parent), str(copy)]
        os.chdir(copy)
        arguments = ["-q", "-p", "no:cacheprovider", "-W", "ignore", "--tb=short"]
        if options.k is not None:
            arguments += ["-k", options.k]
        if options.max_examples is not None:
            arguments += ["--max-examples", str(options.max_examples)]
        try:
            status = int(pytest.main([*arguments, "array_api_tests"], plugins=[plugin]))
        finally:
            os.chdir(HERE)
    whole = plugin.report(reasons)
    return status or int(not whole and options.k is None)


if __name__ == "__main__":
    sys.exit(main())
