"""Which format a path has, and what is said of other paths."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinygrad_ckn.data import load, load_images
from tinygrad_ckn.errors import DataError, DataWarning

TABLE = "".join(f"{i % 2},{i},2,3,4\n" for i in range(10))


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)


def refusal(path: Path, load: Callable[[Path], object] = load) -> str:
    with pytest.raises(DataError) as refused:
        load(path)
    return str(refused.value)


def test_a_folder_of_two_formats_is_refused(mnist_folder: Path):
    picture(mnist_folder / "figures" / "curve.png")
    assert len(load(mnist_folder).train) == 20
    (mnist_folder / "zip.train").touch()
    message = refusal(mnist_folder)
    assert (
        "expected files of one format, got IDX files (train-images-idx3-ubyte ...) and" in message
    )
    assert "USPS's files (zip.train ... or usps.bz2 ...); move those of others out" in message
    assert len(load("mnist", data_dir=mnist_folder).train) == 20


def test_a_folder_of_arrays_and_of_pictures_is_refused(tmp_path: Path):
    np.save(tmp_path / "X.npy", np.zeros((4, 5, 5)))
    np.save(tmp_path / "y.npy", np.arange(4) % 2)
    # A figure beside the arrays is none of their images.
    picture(tmp_path / "curve.png")
    assert len(load(tmp_path, holdout=0).train) == 4
    for label in ("cat", "dog"):
        picture(tmp_path / label / "1.png")
    assert "expected array files alone, got pictures in cat, too; move" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("inside", "given"),
    [
        (["raw/train-images-idx3-ubyte"], "raw"),
        (["MNIST/raw/train-images-idx3-ubyte", "MNIST/notes.txt"], "MNIST/raw"),
        (["mnist_test.csv", "mnist_train.csv"], "mnist_train.csv"),
        (["b/mine.npz", "a/notes.txt"], "b/mine.npz"),
    ],
)
def test_what_can_be_read_inside_a_folder_is_named(tmp_path: Path, inside: list[str], given: str):
    for name in inside:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert refusal(tmp_path).endswith(f"got none of these; give {tmp_path / given} itself")


def test_a_folder_of_nothing_is_refused(tmp_path: Path):
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c" / "mine.npz").touch()
    (tmp_path / ".hidden.csv").touch()
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path}: expected a folder with IDX files (train-images")
    assert "give the folder that holds the files, or the folders of the classes, itself" in message


@pytest.mark.parametrize(
    ("name", "content", "beside", "message"),
    [
        ("cifar-10-python.tar.gz", b"\x1f\x8b", "", "got an archive; unpack it, and give what it"),
        ("digits.ZIP", b"PK\3\4", "", "got an archive; unpack it, and give what it holds"),
        ("data_batch_1.bin", b"\7\0", "data_batch_2.bin", "which holds CIFAR-10's binary files"),
        ("usps", b"1 1:0 2:0", "", "which holds USPS's files"),
        ("emnist-train-images-idx3-ubyte", b"\0\0\x08\3", "", "an IDX file, which has no labels;"),
        (
            "mnist.pkl.gz",
            gzip.compress(b"\x80\4", mtime=0),
            "",
            "got another file; store the images and",
        ),
        ("usps.h5", b"\x89HDF", "", "got another file; store the images and labels in one of"),
    ],
)
def test_what_a_file_is_instead(
    tmp_path: Path, name: str, content: bytes, beside: str, message: str
):
    (tmp_path / name).write_bytes(content)
    if beside:
        (tmp_path / beside).touch()
    said = refusal(tmp_path / name)
    assert message in said
    assert said.startswith(f"{tmp_path / name}: expected the name 'digits', ")


def test_images_alone_of_another_kind(tmp_path: Path):
    (tmp_path / "a.h5").write_bytes(b"\x89HDF")
    (tmp_path / "a.npy.gz").write_bytes(gzip.compress(b"\x93NUMPY", mtime=0))
    assert "got another kind of file" in refusal(tmp_path / "a.npy.gz", load_images)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"\0\0\x08\1\0\0\0\1\0", mtime=0)[:-12])
    assert "expected a whole gzip stream" in refusal(tmp_path / "cut.gz", load_images)
    expected = r"a\.h5: expected a picture, an \.npy file, .* or an IDX file, got another kind of"
    assert re.search(expected, refusal(tmp_path / "a.h5", load_images))
    assert "got a folder; check the path" not in refusal(tmp_path / "b.h5", load_images)


@pytest.mark.parametrize("path", [None, "digits"])
def test_more_memory_than_given_is_told(mnist_folder: Path, path: str | None):
    count = (20 + 10) * 20 * 4 if path is None else 1797 * 64 * 4
    # Every part fits, all of them do not.
    memory = count - 1
    with pytest.warns(DataWarning, match=f"at most {memory:,} bytes of memory, got {count:,} in"):
        load(path or mnist_folder, memory=memory)
    load(path or mnist_folder, memory=count)
