import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad
from tinygrad_ckn.ops import kappa

MEMBERS = [kappa.exponential(2.5), kappa.inner_polynomial(0.5, 3), kappa.matern(1.0, 1)]
WEIGHTS = [0.5, 0.2, 0.3]
MADE = {
    "sum": (kappa.weighted_sum(MEMBERS, WEIGHTS), lambda a, b, c: 0.5 * a + 0.2 * b + 0.3 * c),
    "product": (kappa.product(MEMBERS), lambda a, b, c: a * b * c),
    "sum of one": (kappa.weighted_sum(MEMBERS[:1], [1.0]), lambda a, b, c: a),
    "product of products": (
        kappa.product([kappa.product(MEMBERS[:2]), MEMBERS[2]]),
        lambda a, b, c: a * b * c,
    ),
}


@pytest.mark.parametrize(("made", "expected"), MADE.values(), ids=MADE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_slope_are_those_of_members_combined(made, expected, dtype: str) -> None:
    x = Tensor(np.linspace(-0.9, 0.9, 24).reshape(2, 3, 4), requires_grad=True)
    y = expected(*(member.of(x) for member in MEMBERS))
    (slopes,) = grad(y.sum(), x)
    bound = {"rtol": 1e-12, "atol": 1e-14} if dtype == "float64" else {"rtol": 2e-5, "atol": 2e-6}
    v = x.numpy().astype(dtype)
    kept, values = v.copy(), np.empty_like(v)
    np.testing.assert_allclose(made.of(v), y.numpy(), **bound)
    made.value(np, v, values)
    np.testing.assert_allclose(values, y.numpy(), **bound)
    found = made.slope(np, v, values, np.full_like(v, np.nan))
    np.testing.assert_allclose(found, slopes.numpy(), **bound)
    assert found.dtype == dtype
    np.testing.assert_array_equal(v, kept)
    # in its own memory
    made.value(np, v, v)
    np.testing.assert_array_equal(v, values)


def test_each_member_has_a_weight() -> None:
    with pytest.raises(ValueError, match="zip"):
        kappa.weighted_sum(MEMBERS, [1.0])
