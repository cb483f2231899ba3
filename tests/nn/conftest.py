"""A second device on the CPU: NumPy under another array type, to observe transfers."""

from types import SimpleNamespace

import numpy as np
import pytest

from tinygrad_ckn import backend


class OtherArray(np.ndarray):
    """An array of the device "other"."""


@pytest.fixture
def other_device(monkeypatch: pytest.MonkeyPatch) -> str:
    def array(data: object, dtype: object = None) -> np.ndarray:
        return np.array(data, dtype=dtype).view(OtherArray)

    xp = SimpleNamespace(**{**vars(np), "array": array})
    other = backend.Backend(
        "other",
        xp,
        OtherArray,
        lambda a: a.view(np.ndarray).copy(),
        lambda: None,
        backend.CPU.strict_linalg,
    )
    monkeypatch.setitem(backend._BY_TYPE, OtherArray, other)
    return "other"
