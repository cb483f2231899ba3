"""Make tinygrad_ckn/data/digits.npz, the embedded data set, from scikit-learn's copy.

Run `python scripts/make_digits.py` from anywhere; it needs scikit-learn, which the
library itself does not. Two runs write the same bytes, because NumPy stamps the members
of an .npz with a fixed date.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]

from tinygrad_ckn.files import replacing

TARGET = Path(__file__).resolve().parent.parent / "tinygrad_ckn" / "data" / "digits.npz"


def main() -> None:
    """Write the images, the labels and the indices of one fixed, stratified split."""
    digits = load_digits()
    # (1797, 8, 8), integers 0 to 16 stored as floats
    images = digits.images.astype(np.uint8)
    if not np.array_equal(images, digits.images):
        raise SystemExit(
            "scikit-learn's digits are not integers any more: this script would change them"
        )
    train, test = train_test_split(
        np.arange(len(images)), test_size=0.2, random_state=0, stratify=digits.target
    )
    with replacing(TARGET) as stream:
        np.savez_compressed(
            stream,
            images=images,
            labels=digits.target.astype(np.uint8),
            train=train.astype(np.uint16),
            test=test.astype(np.uint16),
        )
    print(
        f"{TARGET}: {TARGET.stat().st_size} bytes, "
        f"{len(train)} training and {len(test)} test images"
    )


if __name__ == "__main__":
    argparse.ArgumentParser(description=str(__doc__).splitlines()[0]).parse_args()
    main()
