"""Published data sets that `load` reads by name: where they are, and their checksums.

Nothing is downloaded. Checksums are MD5, as in torchvision's `datasets`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Download:
    """A published file, and its MD5 checksum."""

    name: str
    md5: str


@dataclass(frozen=True)
class Known:
    """A published data set."""

    name: str
    title: str
    n_train: int
    n_test: int
    shape: str
    n_classes: int
    url: str
    files: tuple[Download, ...]
    note: str


def _idx(*checksums: str) -> tuple[Download, ...]:
    """Return the four files of a set in MNIST's format, with their checksums."""
    names = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )
    return tuple(Download(name, md5) for name, md5 in zip(names, checksums, strict=True))


KNOWN = (
    Known(
        "digits",
        "UCI handwritten digits",
        1437,
        360,
        "1x8x8",
        10,
        "https://doi.org/10.24432/C50P49",
        (),
        "embedded",
    ),
    Known(
        "mnist",
        "MNIST",
        60_000,
        10_000,
        "1x28x28",
        10,
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        _idx(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        "as they are, or unpacked",
    ),
    Known(
        "fashion-mnist",
        "Fashion-MNIST",
        60_000,
        10_000,
        "1x28x28",
        10,
        "https://github.com/zalandoresearch/fashion-mnist",
        _idx(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        "as they are, or unpacked; or Debian's package dataset-fashion-mnist",
    ),
    Known(
        "kmnist",
        "Kuzushiji-MNIST",
        60_000,
        10_000,
        "1x28x28",
        10,
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        _idx(
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
        "as they are, or unpacked; or kmnist-train-imgs.npz and the three others",
    ),
    Known(
        "usps",
        "USPS, postal digits",
        7_291,
        2_007,
        "1x16x16",
        10,
        "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html#usps",
        (
            Download("usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197"),
            Download("usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118"),
        ),
        "as they are, or unpacked; or zip.train.gz and zip.test.gz of "
        "https://hastie.su.domains/ElemStatLearn",
    ),
    Known(
        "cifar10",
        "CIFAR-10",
        50_000,
        10_000,
        "3x32x32",
        10,
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        (
            Download("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
            Download("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),
        ),
        "either, unpacked",
    ),
    Known(
        "cifar100",
        "CIFAR-100",
        50_000,
        10_000,
        "3x32x32",
        100,
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        (
            Download("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
            Download("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),
        ),
        "either, unpacked; the labels are the fine ones, or with --label coarse the coarse ones",
    ),
    Known(
        "stl10",
        "STL-10",
        5_000,
        8_000,
        "3x96x96",
        10,
        "https://cs.stanford.edu/~acoates/stl10/",
        (Download("stl10_binary.tar.gz", "91f7769df0f17e558f3565bffb0c7dfb"),),
        "unpacked; the unlabelled images are not read",
    ),
    Known(
        "svhn",
        "Street View House Numbers",
        73_257,
        26_032,
        "3x32x32",
        10,
        "http://ufldl.stanford.edu/housenumbers/",
        (
            Download("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
            Download("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
        ),
        "as they are",
    ),
)
