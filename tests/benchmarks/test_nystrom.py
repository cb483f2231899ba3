import numpy as np
import pytest

from benchmarks import nystrom
from tinygrad_ckn import data
from tinygrad_ckn.models import CKN
from tinygrad_ckn.models.exact import exact_kernel


def test_the_table_has_a_row_for_each_number_of_filters(capsys: pytest.CaptureFixture[str]) -> None:
    nystrom.main(12, (4, 16))
    heading, _, *rows = capsys.readouterr().out.splitlines()
    assert heading.startswith("12 digits, eps 1e-08: ")
    found = nystrom.errors(data.load("digits").train.images[:12], (4, 16))
    assert [row.split() for row in rows] == [
        [str(p), f"{100 * error:.3f}", "%"] for p, error in found.items()
    ]
    assert 1 > found[4] > found[16] > 0


def test_patches_pooling_and_kernel_are_those_of_the_preset() -> None:
    images = np.random.default_rng(0).random((3, 1, 8, 8))
    preset = CKN.preset("unsup-32-64", in_channels=1, image_size=8, n_classes=10)
    np.testing.assert_array_equal(
        exact_kernel(nystrom.network(2), images), exact_kernel(preset, images)
    )
