"""The embedded data set of 1,797 handwritten digits of 8x8 pixels.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI
Machine Learning Repository, https://doi.org/10.24432/C50P49, CC BY 4.0
(ATTRIBUTION.md). `scripts/make_digits.py` makes the file.
"""

from importlib.resources import files

import numpy as np

from tinygrad_ckn.data.arrays import format_of_bytes, scale_bytes
from tinygrad_ckn.data.dataset import Dataset, Split

# Largest pixel: a pixel counts the dots set in a 4x4 cell of the scanned image.
TOP = 16


def load_digits() -> Dataset:
    """Return the embedded digits.

    The split is scikit-learn's stratified one with `random_state=0`.

    Returns
    -------
    Dataset
        1,437 training and 360 test images of shape (1, 8, 8), 10 classes; pixels 0..16
        divided by 16.

    Examples
    --------
    >>> digits = load_digits()
    >>> digits.train, digits.test
    (Split(1437 images of 1x8x8), Split(360 images of 1x8x8))
    """
    resource = files("tinygrad_ckn.data").joinpath("digits.npz")
    with resource.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        # (1797, 1, 8, 8)
        images = scale_bytes(archive["images"][:, np.newaxis], TOP)
        everything = Split(images, archive["labels"].astype(np.int64))
        train, test = everything.take(archive["train"]), everything.take(archive["test"])
    return Dataset(
        "digits", train, test, 10, tuple("0123456789"), format_of_bytes(train.images, TOP)
    )
