"""What the tests of the GPU path share."""

import pytest

from tests.gpu import nvrtc


@pytest.fixture(scope="session")
def compiler():
    """The module `tests.gpu.nvrtc`, where NVRTC is installed."""
    if reason := nvrtc.missing():
        pytest.skip(reason)
    return nvrtc
