"""NumPy's functions on Tensors have NumPy's values, or are refused: never others."""

import warnings

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.ops import numpy_calls

FUNCTIONS = numpy_calls.table(
    {name: value for name, value in vars(ops).items() if callable(value) and name[0] != "_"},
    {name: getattr(ops.linalg, name) for name in ops.linalg.__all__},
)
random = np.random.default_rng(0)
ARRAYS = [random.normal(size=shape) for shape in ((4,), (3, 3), (2, 3, 3))]
CALLS = [
    ((), {}),
    ((0,), {}),
    ((1,), {}),
    ((-1,), {}),
    (((0, 1),), {}),
    ((), {"axis": 0}),
    ((2,), {"axis": -1}),
    ((), {"k": 1}),
    ((), {"keepdims": True}),
]
LEFT_OUT = {
    "empty": "its values are arbitrary",
    "empty_like": "its values are arbitrary",
    "result_type": "takes dtypes",
    "can_cast": "takes dtypes",
    "isdtype": "takes dtypes",
    "broadcast_arrays": "a number takes the dtype of the others",
    "lstsq": "residuals are an array, for square matrices too",
    "multi_dot": "NumPy's is np.dot for stacks of matrices, which its page leaves out",
}


def leaves(result):
    if isinstance(result, tuple | list):
        return [leaf for part in result for leaf in leaves(part)]
    return [result.numpy() if isinstance(result, Tensor) else np.asarray(result)]


def outcome(function, *args, **options):
    """Return the arrays of a result, None of a refusal."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return leaves(function(*args, **options))
        except Exception:  # whichever NumPy raises
            return None


@pytest.mark.parametrize(
    "function",
    [function for function in FUNCTIONS if function.__name__ not in LEFT_OUT],
    ids=lambda f: f"{f.__module__}.{f.__name__}",
)
def test_values_are_numpys_or_refused(function):
    for x in ARRAYS:
        for args, options in [*CALLS, ((x,), {})]:
            tensors = [Tensor(arg) if arg is x else arg for arg in args]
            for pack in (lambda a: a, lambda a: [a, a]):
                expected = outcome(function, pack(x), *args, **options)
                found = outcome(function, pack(Tensor(x)), *tensors, **options)
                # what NumPy refuses may have a meaning here
                if expected is None or found is None:
                    continue
                assert len(found) == len(expected)
                for one, other in zip(found, expected, strict=True):
                    assert (one.shape, one.dtype) == (other.shape, other.dtype), (args, options)
                    if one.dtype.kind in "biuf":
                        assert np.allclose(one, other, equal_nan=True), (args, options)
