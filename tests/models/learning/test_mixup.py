import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.models.learning.mixup import mix
from tinygrad_ckn.models.learning.objective import Target

IMAGES = np.random.default_rng(0).random((7, 1, 3, 3)).astype("float32")


@given(seed=st.integers(0, 2**32 - 1), alpha=st.floats(0.05, 5))
def test_images_and_labels_are_mixed_in_the_same_proportion(seed, alpha):
    batch = IMAGES.copy()
    weights = np.arange(1.0, 8)
    mixed, (own, partner) = mix(
        batch, Target(np.arange(7), weights), alpha, np.random.default_rng(seed)
    )
    np.testing.assert_array_equal(batch, IMAGES)
    assert mixed.dtype == "float32"
    assert 0 <= own.share <= 1
    assert own.share + partner.share == 1
    np.testing.assert_array_equal(own.labels, np.arange(7))
    # Labels are indices here.
    np.testing.assert_array_equal(np.sort(partner.labels), np.arange(7))
    np.testing.assert_array_equal(partner.weights, weights[partner.labels])
    expected = own.share * IMAGES + partner.share * IMAGES[partner.labels]
    np.testing.assert_allclose(mixed, expected, rtol=1e-5, atol=1e-7)


def test_proportions_are_those_of_the_beta_distribution():
    rng = np.random.default_rng(1)
    shares = [mix(IMAGES, Target(np.arange(7)), 0.5, rng)[1][0].share for _ in range(4000)]
    # The variance of Beta(a, a) is 1 / (4 (2 a + 1)).
    assert abs(np.mean(shares) - 0.5) < 0.02
    assert abs(np.var(shares) - 1 / 8) < 0.005
    assert mix(IMAGES, Target(np.arange(7)), 0.5, rng)[1][1].weights is None
