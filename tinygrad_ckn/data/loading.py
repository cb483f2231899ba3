"""Loading data sets, by name or from a path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.by_path import read_images
from tinygrad_ckn.data.dataset import Dataset, Split
from tinygrad_ckn.data.division import Division
from tinygrad_ckn.data.files import given_path
from tinygrad_ckn.data.part_files import load_divided, load_parts
from tinygrad_ckn.data.picture_folder import holds_pictures, read_pictures
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.files import PathLike


def load(
    name_or_path: PathLike,
    *,
    data_dir: PathLike | None = None,
    image_shape: Sequence[int] | None = None,
    channels_last: bool | None = None,
    header: bool | None = None,
    scale: float | None = None,
    resize: Sequence[int] | None = None,
    crop: bool | None = None,
    grey: bool | None = None,
    rgb: bool | None = None,
    skip_broken: bool | None = None,
    label: str | None = None,
    memory: int | str | None = None,
    group: str | None = None,
    test_data: PathLike | None = None,
    validation_data: PathLike | None = None,
    holdout: float | None = None,
    seed: int = 0,
) -> Dataset:
    """Load a data set by its name or from a path.

    Parameters
    ----------
    name_or_path : str or PathLike
        "digits" (embedded), "fashion-mnist", "mnist", "kmnist", "usps", "cifar10",
        "cifar100", "stl10", "svhn"; or the path of an .npz file, a table (.csv, .tsv, .txt,
        also zipped), an .npy file with its labels beside it, a .mat file of SVHN, or a
        folder with the files of one of these sets, with pairs of .npy files, or with a
        folder of pictures for each class, itself or in folders train, val and test (see
        docs/data.md). Write "./mnist" for a folder with the name of a data set.
    data_dir : str or PathLike, optional
        The folder of the files of a data set given by name; needed for all but "digits"
        and "fashion-mnist", which without it is read from Debian's package.
    image_shape, channels_last, header, scale
        How to read an .npz or .csv file, as for `load_npz` and `load_csv`; for IDX files
        only scale, for pictures only scale and image_shape.
    resize : tuple[int, int], optional
        (H, W): pictures are averaged over areas to make them smaller, and interpolated
        by Lanczos' filter to make them larger, along each axis. Their aspect ratio
        changes, unless they are cropped.
    crop : bool, optional
        Crop pictures around their centre to the aspect ratio of `resize` first.
    grey, rgb : bool, optional
        Convert pictures to grey (ITU-R 601 luma), or to RGB (equal channels of grey).
    skip_broken : bool, optional
        Leave out pictures that cannot be read, with a warning.
    label : str, optional
        "first", "last" or the name of the column of labels in a .csv file, as for
        `load_csv`; for CIFAR-100 "fine" (the default) or "coarse".
    memory : int or str, optional
        Bytes, such as 2**30 or "2GiB", that all images may take in memory; None: a quarter
        of what the process may use. More pictures, and images in IDX, CIFAR, STL-10 and
        .npy files, are read when needed, in blocks, as `LazyImages`; what is computed of
        all of them, such as features, then lies in temporary files (in TMPDIR). Other
        files are read whole, with a warning if that takes more.
    group : str, optional
        What says which images belong together, such as those of one subject: the column
        of a .csv file, the array of an .npz file (of its other parts test_NAME and
        val_NAME), or for pictures "folder" (inside that of the class) or "prefix" (of the
        file's name, to the first _ or -). A group stays on one side of every split.
    test_data, validation_data : str or PathLike, optional
        Another file or folder, all of whose images are the test or the validation part,
        read as the training images are.
    holdout : float, optional
        Share in [0, 1) of the images that becomes the test part of data without one,
        a fifth by default; 0: there is no test part. A validation part is the test
        part of data that have no other, unless a share is given.
    seed : int
        Chooses the test part of data without one.

    Returns
    -------
    Dataset
        Training and test images, float32 (n, C, H, W), with their labels.

    Raises
    ------
    DataError
        For another kind of file, for an argument that has no meaning for it, and whatever
        the loaders raise.

    Examples
    --------
    >>> load("digits").train
    Split(1437 images of 1x8x8)
    """
    reading = Reading.of(
        image_shape,
        channels_last,
        header,
        scale,
        resize=resize,
        crop=crop,
        grey=grey,
        rgb=rgb,
        skip_broken=skip_broken,
        label=label,
        memory=memory,
        group=group,
    )
    division = Division(test_data, validation_data, holdout)
    return load_divided(name_or_path, data_dir, reading, division).dataset(seed, division)


def load_test(
    name_or_path: PathLike,
    *,
    data_dir: PathLike | None = None,
    image_shape: Sequence[int] | None = None,
    channels_last: bool | None = None,
    header: bool | None = None,
    scale: float | None = None,
    resize: Sequence[int] | None = None,
    crop: bool | None = None,
    grey: bool | None = None,
    rgb: bool | None = None,
    skip_broken: bool | None = None,
    label: str | None = None,
    memory: int | str | None = None,
    group: str | None = None,
    holdout: float | None = None,
    data_format: DataFormat | None = None,
) -> tuple[Split, bool]:
    """Load labelled images to measure a model on.

    Parameters
    ----------
    name_or_path, data_dir, image_shape, channels_last, header, scale, resize, crop, grey, rgb, \
    skip_broken, label, memory, group, holdout
        As for `load`.
    data_format : DataFormat, optional
        The format of the training images, `model.data_format`: these images are read in
        the same way.

    Returns
    -------
    split : Split
        The test part, or all images of data without one.
    whole : bool
        Whether these are all labelled images of the data set.

    Raises
    ------
    DataError
        As `load`, except for a small number of images.

    Examples
    --------
    >>> load_test("digits")
    (Split(360 images of 1x8x8), False)
    """
    reading = Reading.of(
        image_shape,
        channels_last,
        header,
        scale,
        data_format,
        resize=resize,
        crop=crop,
        grey=grey,
        rgb=rgb,
        skip_broken=skip_broken,
        label=label,
        memory=memory,
        group=group,
    )
    parts = load_parts(name_or_path, data_dir, reading).divided(Division(holdout=holdout))
    return (parts.train, True) if parts.test is None else (parts.test, False)


def load_images(
    path: PathLike,
    *,
    image_shape: Sequence[int] | None = None,
    channels_last: bool | None = None,
    header: bool | None = None,
    scale: float | None = None,
    resize: Sequence[int] | None = None,
    crop: bool | None = None,
    grey: bool | None = None,
    rgb: bool | None = None,
    skip_broken: bool | None = None,
    label: str | None = None,
    memory: int | str | None = None,
    group: str | None = None,
    data_format: DataFormat | None = None,
) -> NDArray[np.float32]:
    """Load images without labels, for prediction.

    Parameters
    ----------
    path : str or PathLike
        A picture, or a folder of pictures in natural order, folders inside included; an
        .npz file with an array `images`, or with a single array without a name, an .npy
        file, a table of pixels (a column that the header names `label` is left out), or an
        IDX file of images under any name, compressed with gzip or not.
    image_shape, channels_last, header, scale, resize, crop, grey, rgb, skip_broken, label, \
    memory
        As for `load`.
    group : str, optional
        The column of groups in a .csv file, which is left out.
    data_format : DataFormat, optional
        The format of the training images, `model.data_format`: these images are read in
        the same way, or refused.

    Returns
    -------
    NDArray[np.float32], shape (n, C, H, W)
        C-contiguous and finite; by default integers 0..255 are divided by 255, and
        floats are not changed.

    Raises
    ------
    DataError
        For another kind of file, for a shape or scale other than that of the training
        images, and whatever the loaders raise.
    """
    reading = Reading.of(
        image_shape,
        channels_last,
        header,
        scale,
        data_format,
        resize=resize,
        crop=crop,
        grey=grey,
        rgb=rgb,
        skip_broken=skip_broken,
        label=label,
        memory=memory,
        group=group,
    )
    path = given_path(path)
    if holds_pictures(path):
        return read_pictures(path, reading)
    return read_images(path, reading)
