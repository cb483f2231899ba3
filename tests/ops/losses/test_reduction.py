import numpy as np
import pytest

from tinygrad_ckn import ops
from tinygrad_ckn.errors import ShapeError

D = np.array([-3.0, -0.5, 0.0, 0.25, 2.0])


@pytest.mark.parametrize("loss", [ops.mse, ops.huber])
def test_reductions(loss: object) -> None:
    single = loss(D, np.ones(5), reduction="none")  # type: ignore[operator]
    assert single.shape == (5,)
    assert loss(D, np.ones(5), reduction="sum") == single.sum()  # type: ignore[operator]
    assert loss(D, np.ones(5)) == single.mean()  # type: ignore[operator]
    with pytest.raises(ShapeError, match=r"shape \(5,\) and|\(5,\) and \(5, 1\); reshape one"):
        loss(D, np.ones((5, 1)))  # type: ignore[operator]
