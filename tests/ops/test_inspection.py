"""The namespace of Tensors, as the Array API standard asks for it."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import ConfigError


def test_tensors_name_their_namespace():
    t = Tensor([1.0])
    assert t.__array_namespace__() is ops
    assert t.__array_namespace__(api_version="2024.12") is ops
    assert ops.__array_api_version__ == "2024.12"
    with pytest.raises(ConfigError, match=r"api_version expected .* got '1999.1'"):
        t.__array_namespace__(api_version="1999.1")


def test_info_tells_devices_and_defaults():
    info = ops.__array_namespace_info__()
    assert info.default_device() in info.devices()
    assert info.default_dtypes()["real floating"] == ops.zeros(1).dtype
    assert info.default_dtypes()["integral"] == ops.arange(1).dtype
    assert info.default_dtypes()["indexing"] == ops.argmax(Tensor([1.0])).dtype
    assert set(info.capabilities()) == {
        "boolean indexing",
        "data-dependent shapes",
        "max dimensions",
    }


def test_the_program_of_the_page_prints_what_the_page_shows():
    page = (Path(__file__).parents[2] / "docs" / "array-api.md").read_text()
    program, shown = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.S).groups()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(program, {})
    assert printed.getvalue() == shown
