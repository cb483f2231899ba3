"""Draw docs/digits.png: digits, filters of the first layer learned on them, and its maps.

pip install -e .
python scripts/make_picture.py
"""

import argparse
import io
from pathlib import Path

import matplotlib

from tinygrad_ckn.data import load
from tinygrad_ckn.files import atomic_write
from tinygrad_ckn.models import CKN

matplotlib.use("agg")
import matplotlib.pyplot as plt

COLUMNS = 16


def main() -> None:
    """Train on the embedded digits and draw."""
    digits = load("digits")
    model = CKN.preset("unsup-32-64", in_channels=1, image_size=8, n_classes=10, rng=0)
    model.fit_unsupervised(digits.train.images, n_patches=20_000, rng=0)
    layer = model.layers[0].eval()
    filters = layer.weight.numpy()[:, 0]
    images = digits.test.images[:COLUMNS, 0]
    maps = layer(digits.test.images[3:4]).numpy()[0]
    rows = [
        ("images", images, "gray_r", (0, 1)),
        ("filters", filters[:COLUMNS], "gray_r", (0, 0.7)),
        ("", filters[COLUMNS:], "gray_r", (0, 0.7)),
        ("maps of\nthe 4th", maps[:COLUMNS], "RdBu_r", (-0.5, 0.5)),
        ("", maps[COLUMNS:], "RdBu_r", (-0.5, 0.5)),
    ]
    figure, axes = plt.subplots(len(rows), COLUMNS, figsize=(9, 3))
    for (title, pictures, colours, (low, high)), line in zip(rows, axes, strict=True):
        line[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8)
        for picture, place in zip(pictures, line, strict=True):
            place.imshow(picture, cmap=colours, vmin=low, vmax=high)
            place.set_xticks([])
            place.set_yticks([])
    figure.subplots_adjust(0.09, 0.01, 0.99, 0.99, 0.08, 0.08)
    content = io.BytesIO()
    figure.savefig(content, dpi=110, metadata={"Software": None})
    atomic_write(Path(__file__).parent.parent / "docs" / "digits.png", content.getvalue())


if __name__ == "__main__":
    argparse.ArgumentParser(description=str(__doc__).splitlines()[0]).parse_args()
    main()
