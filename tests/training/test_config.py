from pathlib import Path

import pytest

from tinygrad_ckn.errors import DataError
from tinygrad_ckn.training import Run


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected the folder of a run, with a config.json, got none; check the path"),
        (b"{", "expected JSON, got something else"),
        (b"\xff", "expected JSON, got something else"),
        (b"[]", "expected the configuration of a tinygrad-ckn run, got another JSON file"),
        (b"{}", "expected the configuration of a tinygrad-ckn run, got another JSON file"),
        (b'{"format": "tinygrad-ckn run"}', "expected format_version 1 or older, got None"),
        (
            b'{"format": "tinygrad-ckn run", "format_version": 2}',
            "expected format_version 1 or older, got 2; update",
        ),
    ],
)
def test_other_folders_are_refused(tmp_path: Path, content: bytes | None, message: str):
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
        Run.open(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reading", []),
        ("reading", {"color": True}),
        ("division", {"holdout": "0.2"}),
        ("division", {"train_data": "x"}),
        ("copies", {"test in training": -1}),
        ("conflicting_labels", 0.5),
        ("validation", "many"),
    ],
)
def test_fields_on_the_parts_are_checked(tmp_path: Path, name: str, value: object):
    with pytest.raises(DataError, match=rf"expected data\.{name} to be an"):
        Run.create(tmp_path / "run", {"data": {name: value}})
