import numpy as np
import pytest

from tinygrad_ckn.cpu import linear


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 100])
# in batches of 32, of 32, and in one product
@pytest.mark.parametrize(("d", "k"), [(5, 3), (3000, 10), (3000, 50)])
@pytest.mark.parametrize("ordered", [True, False])
def test_scores_are_products(n: int, d: int, k: int, ordered: bool) -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(n, d)), rng.normal(size=(k, d))
    expected = np.einsum("nd,kd->nk", x, weight)
    found = linear.scores(x if ordered else np.asfortranarray(x), weight)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("d", [1, 7, 21])
def test_the_gram_matrix_is_added_in_its_upper_triangle(
    d: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "_STRIP", 5)
    x = np.random.default_rng(0).normal(size=(13, d))
    total = np.ones((d, d))
    linear.add_gram(total, x)
    np.testing.assert_allclose(
        np.triu(total), np.triu(1 + np.einsum("ni,nj->ij", x, x)), atol=1e-13
    )
