"""Tables of the epochs."""

import csv
from pathlib import Path

import pytest

from tinygrad_ckn.errors import DataError
from tinygrad_ckn.models import Progress
from tinygrad_ckn.training import CSVLog


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def told(log: CSVLog, *epochs: int) -> None:
    for epoch in epochs:
        log(Progress("batch", 1, 9, {"loss": 3.0}))
        log(Progress("epoch", epoch, 9, {"lr": 0.1, "loss": epoch / 3}))


def test_a_row_for_each_epoch_with_all_digits(tmp_path: Path) -> None:
    told(CSVLog(tmp_path / "a.csv"), 1, 2)
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "epoch,lr,loss"
    assert [float(row["loss"]) for row in rows(tmp_path / "a.csv")] == [1 / 3, 2 / 3]


def test_a_new_log_replaces_the_file(tmp_path: Path) -> None:
    told(CSVLog(tmp_path / "a.csv"), 1, 2)
    told(CSVLog(tmp_path / "a.csv"), 1)
    assert [row["epoch"] for row in rows(tmp_path / "a.csv")] == ["1"]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_resumed_log_has_each_epoch_once(tmp_path: Path, at: int) -> None:
    told(CSVLog(tmp_path / "whole.csv"), 1, 2, 3)
    told(CSVLog(tmp_path / "a.csv"), 1, 2)
    told(CSVLog(tmp_path / "a.csv", resume=True), *range(at, 4))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_there_may_be_nothing_to_resume(tmp_path: Path) -> None:
    told(CSVLog(tmp_path / "a.csv", resume=True), 1)
    assert len(rows(tmp_path / "a.csv")) == 1


@pytest.mark.parametrize(
    "content", [b"name,value\nx,1\n", b"epoch,loss\none,2\n", b"epoch\n1,2\n", b"\xff\n\xfe\n"]
)
def test_another_file_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.csv: expected rows of numbers with a column epoch"):
        CSVLog(path, resume=True)
    assert path.read_bytes() == content
