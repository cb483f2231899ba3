import gzip
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import idx, load, load_images, load_test
from tinygrad_ckn.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 2, 2), dtype=np.uint8)
SCALED = IMAGES[:, np.newaxis] / np.float32(255)


def test_names(mnist_folder: Path, cifar_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load("digits").name == "digits"
    assert load("mnist", data_dir=mnist_folder).class_names[9] == "9"
    assert load("mnist", data_dir=mnist_folder).name == "mnist"
    assert load("fashion-mnist", data_dir=mnist_folder).class_names[9] == "Ankle boot"
    assert load("cifar10", data_dir=cifar_folder).class_names[9] == "truck"
    monkeypatch.setattr(idx, "DEBIAN_FASHION_MNIST", mnist_folder)
    assert load("fashion-mnist").name == "fashion-mnist"


def test_folders_are_known_by_their_files(mnist_folder: Path, cifar_folder: Path) -> None:
    assert load(mnist_folder).name == "clothes"
    assert load(cifar_folder).name == "cifar10"
    outer = cifar_folder.parent / "outer"
    outer.mkdir()
    cifar_folder.rename(outer / "cifar-10-batches-bin")
    assert load(str(outer)).name == "cifar10"


def test_files_are_known_by_their_ending(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=np.zeros(10, np.int64))
    np.savetxt(
        tmp_path / "b.CSV",
        np.column_stack([np.zeros(10), IMAGES.reshape(10, 4)]),
        fmt="%d",
        delimiter=",",
    )
    first, second = load(tmp_path / "a.npz", seed=3), load(str(tmp_path / "b.CSV"), seed=3)
    assert len(first.test) == 2
    np.testing.assert_array_equal(first.test.images, second.test.images)
    assert not np.array_equal(load(tmp_path / "a.npz", seed=4).test.images, first.test.images)


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    accepted = (
        "expected the name 'digits', 'fashion-mnist', 'mnist', 'kmnist', 'usps', 'cifar10', "
        "'cifar100', 'stl10' or 'svhn', an .npy file, an .npz file, a table (.csv, .tsv or .txt, "
        "zipped or not), a .mat file of SVHN, or a folder"
    )
    with pytest.raises(
        DataError, match=re.escape(f"imagenet: {accepted}") + ".*, got none of these"
    ):
        load("imagenet")
    (tmp_path / "a.txt").touch()
    with pytest.raises(DataError, match=re.escape(f"a.txt: {accepted}") + ".*, got another file"):
        load(tmp_path / "a.txt")
    with pytest.raises(DataError, match=r"absent\.npz: expected an \.npz file, got nothing"):
        load(tmp_path / "absent.npz")
    with pytest.raises(
        DataError,
        match=r"expected a folder with IDX files .*, CIFAR-10's binary files .*, or a folder of "
        "pictures for each class, got none of these",
    ):
        load(tmp_path)


def test_data_dir_is_required_or_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"mnist: expected the folder of the four IDX files, got none; .* data_dir",
    ):
        load("mnist")
    with pytest.raises(
        DataError,
        match=r"cifar10: expected the folder of the six \.bin files, or .*, got none; .* data_dir",
    ):
        load("cifar10")
    with pytest.raises(
        DataError, match="argument data_dir expected None with 'digits', whose images are embedded"
    ):
        load("digits", data_dir=tmp_path)
    with pytest.raises(
        DataError, match=r"argument data_dir expected None unless .*, got .* with .*a\.npz"
    ):
        load(tmp_path / "a.npz", data_dir=tmp_path)


def test_images_alone(tmp_path: Path, idx_bytes: Callable[[np.ndarray], bytes]) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES)
    np.save(tmp_path / "b.npy", IMAGES)
    np.savetxt(tmp_path / "c.csv", IMAGES.reshape(10, 4), fmt="%d", delimiter=",")
    (tmp_path / "d.idx").write_bytes(idx_bytes(IMAGES))
    (tmp_path / "e-idx3-ubyte").write_bytes(idx_bytes(IMAGES))
    (tmp_path / "f.idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(IMAGES)))
    (tmp_path / "g.gz").write_bytes(gzip.compress(idx_bytes(IMAGES)))
    (tmp_path / "h").write_bytes(idx_bytes(IMAGES))
    for path in sorted(tmp_path.iterdir()):
        images = load_images(path)
        assert images.dtype == np.float32
        assert images.flags.c_contiguous
        np.testing.assert_array_equal(images, SCALED)


def test_images_of_an_unknown_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"absent: expected a file of images: a picture, an \.npy file, an \.npz file,",
    ):
        load_images(tmp_path / "absent")
    (tmp_path / "a.pkl").touch()
    with pytest.raises(
        DataError,
        match=r"a\.pkl: expected a picture, an \.npy file, .* or an IDX file, got another kind",
    ):
        load_images(tmp_path / "a.pkl")


def test_all_images_of_a_file_are_for_measuring_unless_it_has_a_test_part(
    tmp_path: Path, mnist_folder: Path
) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES[:3], labels=[7, 7, 2])
    np.savez(
        tmp_path / "b.npz",
        images=IMAGES[:3],
        labels=[0, 1, 0],
        test_images=IMAGES[3:5],
        test_labels=[1, 0],
    )
    np.savetxt(
        tmp_path / "c.csv",
        np.column_stack([[7, 7, 2], IMAGES[:3].reshape(3, 4)]),
        fmt="%d",
        delimiter=",",
    )
    for name, which, labels, whole in (
        ("a.npz", slice(3), [7, 7, 2], True),
        ("b.npz", slice(3, 5), [1, 0], False),
        ("c.csv", slice(3), [7, 7, 2], True),
    ):
        split, everything = load_test(tmp_path / name)
        assert (split.labels.tolist(), everything) == (labels, whole)
        np.testing.assert_array_equal(split.images, SCALED[which])
    split, everything = load_test(mnist_folder)
    assert (len(split), everything) == (10, False)
    assert len(load_test("mnist", data_dir=mnist_folder)[0]) == 10
    with pytest.raises(DataError, match="argument data_dir expected None"):
        load_test(tmp_path / "a.npz", data_dir=tmp_path)


def test_importing_the_package_needs_numpy_only() -> None:
    code = "import sys, tinygrad_ckn.data; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"scipy", "sklearn", "cupy", "safetensors", "typer", "PIL", "pandas"} & set(
        done.stdout.split()
    )
