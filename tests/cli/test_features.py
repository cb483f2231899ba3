"""`tinygrad-ckn features`."""

import numpy as np
import pytest
from PIL import Image

from tinygrad_ckn.cli import inputs
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.training import Run


@pytest.fixture
def pictures(tmp_path):
    """Six digits as pictures."""
    (tmp_path / "dir").mkdir()
    for i, image in enumerate(load_digits().test.images[:6]):
        pixels = np.round(image[0] * 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "dir" / f"{i}.png")
    return tmp_path / "dir"


def test_features_of_pictures_and_arrays_in_the_order_given(
    invoke, run_folder, pictures, tmp_path, monkeypatch
):
    monkeypatch.setattr(inputs, "BLOCK", 4)
    images = load_digits().test.images[:6]
    np.save(tmp_path / "two.npy", images[:2])
    out = tmp_path / "F.npy"
    result = invoke("features", run_folder, tmp_path / "two.npy", pictures, "-o", out)
    assert result.stdout == f"wrote features (8, 256), float32, to {out}\n"
    expected = Run.open(run_folder).load().encode(images[[0, 1, *range(6)]])
    features = np.load(out, mmap_mode="r")
    np.testing.assert_allclose(features[:2], expected[:2], atol=1e-6)
    # Pictures have 256 levels, the embedded digits 17.
    np.testing.assert_allclose(features, expected, atol=0.02)


def test_only_a_new_npy_file_is_written(invoke, run_folder, pictures, tmp_path):
    images = tmp_path / "mine.npy"
    np.save(images, np.ones(3))
    before = images.read_bytes()
    for path, message in (
        (images, "expected a new file, got one that exists; choose another with --output"),
        (tmp_path / "F.csv", "expected a file name that ends in .npy; change --output"),
        (tmp_path / "absent" / "F.npy", "expected an existing folder to write to"),
    ):
        result = invoke("features", run_folder, pictures, "-o", path)
        assert (result.exit_code, result.stdout) == (1, "")
        assert message in result.stderr
    (pictures / "7.png").write_bytes((pictures / "5.png").read_bytes()[:60])
    result = invoke("features", run_folder, pictures, "-o", tmp_path / "F.npy")
    assert "dir/7.png: expected a whole picture, got a damaged one" in result.stderr
    assert not list(tmp_path.glob("*F.npy*"))
    assert images.read_bytes() == before
