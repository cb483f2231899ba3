"""What every test and doctest sees."""

import numpy as np
import pytest

import tinygrad_ckn
from tinygrad_ckn import ops


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    doctest_namespace.update({"np": np, "ops": ops, "Tensor": tinygrad_ckn.Tensor})
