"""Hints to install extras refer to a checkout, because the package is on no index."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tinygrad_ckn.errors import how_to_install

ROOT = Path(__file__).parent.parent
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
FROM_INDEX = re.compile(r"""pip install (-\S+ )*['"]?tinygrad-ckn""")
FROM_CHECKOUT = re.compile(r"pip install .*'\.\[([\w,]+)\]'")


def texts() -> dict[Path, str]:
    """Return the texts of the checkout, except the change log."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.splitlines()]
    own = {Path(__file__), ROOT / "CHANGELOG.md"}
    return {
        p: p.read_text()
        for p in paths
        if p.is_file() and p.suffix in (".py", ".md", ".toml") and p not in own
    }


def test_no_sentence_installs_from_an_index():
    assert FROM_INDEX.search("pip install -U tinygrad-ckn")
    assert FROM_INDEX.search("pip install 'tinygrad-ckn[sklearn]'")
    assert [path.name for path, text in texts().items() if FROM_INDEX.search(text)] == []


def test_named_extras_exist():
    together = [extras for text in texts().values() for extras in FROM_CHECKOUT.findall(text)]
    named = {extra for extras in together for extra in extras.split(",")}
    assert {"sklearn", "test", "bench"} <= named <= set(EXTRAS)


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_sentence(extra: str):
    assert how_to_install(extra) == f"pip install -e '.[{extra}]' in a checkout of tinygrad-ckn"
