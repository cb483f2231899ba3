"""Event files, read as TensorBoard reads them."""

import struct
import sys
from pathlib import Path

import pytest

from tinygrad_ckn.errors import MissingPackageError
from tinygrad_ckn.models import Progress
from tinygrad_ckn.training import TensorBoard
from tinygrad_ckn.training.options import resolve


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    """Return the values by name and step, of the files in the order of their names.

    A record is its length in 8 bytes, 4 bytes of checksum, the event, 4 bytes of checksum.
    """
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    values: dict[tuple[str, int], float] = {}
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            if event.session_log.status == SessionLog.START:
                # Steps from here on were written by a training that was interrupted.
                values = {key: value for key, value in values.items() if key[1] < event.step}
            for value in event.summary.value:
                assert (value.tag, event.step) not in values
                values[value.tag, event.step] = value.simple_value
    return values


def told(log: TensorBoard, *epochs: int) -> None:
    for epoch in epochs:
        log(Progress("batch", 1, 9, {"loss": 3.0}))
        log(Progress("epoch", epoch, 9, {"loss": epoch / 2}))


def test_the_measurements_of_each_epoch_are_there_before_the_end(tmp_path: Path) -> None:
    log = TensorBoard(tmp_path / "new")
    told(log, 1)
    assert scalars(tmp_path / "new") == {("loss", 1): 0.5}
    told(log, 2)
    log(Progress("kept", 2, 2))
    assert scalars(tmp_path / "new")["loss", 2] == 1.0


def test_a_resumed_training_replaces_the_epochs_that_it_repeats(tmp_path: Path) -> None:
    told(TensorBoard(tmp_path), 1, 2)
    told(TensorBoard(tmp_path), 2, 3)
    assert scalars(tmp_path) == {("loss", epoch): epoch / 2 for epoch in (1, 2, 3)}


def test_without_tensorboardx_a_sentence_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingPackageError, match=r"pip install -e '\.\[tensorboard\]'"):
        TensorBoard(tmp_path)
    with pytest.raises(MissingPackageError):
        resolve("digits", mode="supervised", tensorboard=True)
    assert resolve("digits", mode="supervised").tensorboard is False
