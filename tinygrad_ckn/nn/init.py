"""Initial values of weights, as raw arrays on the host; all randomness comes from the `rng` that is passed.

Shapes are (out, in) for a linear layer and (out, in/groups, kh, kw) for filters; fan_in
is the product of all but the first size, fan_out = out*kh*kw. Numbers are drawn in
float64 and rounded, so that float32 weights are those of float64. `rng` is a generator,
or a seed for a new one; None is the next generator of the package (see `manual_seed`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

from tinygrad_ckn import backend, checks
from tinygrad_ckn.backend import Generator, Shape
from tinygrad_ckn.errors import DataError, DTypeError, ShapeError
from tinygrad_ckn.nn.constraint import Sphere
from tinygrad_ckn.plain import plain_arguments

Seed: TypeAlias = int | Generator | None

# He et al. 2015, eq. 10: ReLU halves the second moment
RELU_GAIN = math.sqrt(2)


# Numbers that may still be made, in a list of one; None: as many as you like, and they
# are drawn.
_left: ContextVar[list[float] | None] = ContextVar("_left", default=None)


@contextmanager
def without_values(limit: float = math.inf) -> Iterator[None]:
    """Within the block every initial value is 0, and nothing is drawn: for modules whose values come from elsewhere.

    Parameters
    ----------
    limit
        As many numbers may be made, by all modules together; one more is an error
        before there is memory for it.

    Examples
    --------
    >>> with without_values(limit=6):
    ...     normal((2, 3), rng=0).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    >>> with without_values(limit=6):
    ...     normal((10**6, 10**6), rng=0)
    Traceback (most recent call last):
    tinygrad_ckn.errors.DataError: expected initial values of at most 6 numbers in all, got shape (1000000, 1000000)
    """
    token = _left.set([limit])
    try:
        yield
    finally:
        _left.reset(token)


def blank(shape: Shape, dtype: Any) -> Any:
    """Return zeros where initial values are not wanted, within `without_values`, else None.

    Raises
    ------
    DataError
        If they would be more than the limit.
    """
    left = _left.get()
    if left is None:
        return None
    if math.prod(shape) > left[0]:
        raise DataError(
            f"expected initial values of at most {left[0]:g} numbers in all, got shape {tuple(shape)}"
        )
    left[0] -= math.prod(shape)
    return backend.CPU.xp.zeros(shape, dtype=dtype)


def constant(shape: Shape, value: float, *, dtype: Any = "float32") -> Any:
    """Return an array of one number.

    Examples
    --------
    >>> constant((2,), 3.0).tolist()
    [3.0, 3.0]
    """
    found = blank(shape, dtype)
    return backend.CPU.xp.full(shape, value, dtype=dtype) if found is None else found


@plain_arguments
def uniform(
    shape: Shape, *, rng: Seed, low: float = 0.0, high: float = 1.0, dtype: Any = "float32"
) -> Any:
    """Return numbers uniform on [low, high).

    Raises
    ------
    ConfigError
        If low > high.
    DTypeError
        If the dtype is not floating.

    Examples
    --------
    >>> uniform((2,), rng=0, low=-1, high=1).tolist()
    [0.2739233672618866, -0.46042656898498535]
    """
    low = checks.number(
        "init.uniform", "low", low, f"a number <= high = {high}", lambda value: value <= high
    )
    found = blank(shape, dtype)
    return _cast(
        "init.uniform",
        backend.default_rng(rng).uniform(low, high, shape) if found is None else found,
        dtype,
    )


@plain_arguments
def normal(
    shape: Shape, *, rng: Seed, mean: float = 0.0, std: float = 1.0, dtype: Any = "float32"
) -> Any:
    """Return Gaussian numbers of a mean and a standard deviation.

    Raises
    ------
    ConfigError
        If std < 0.
    DTypeError
        If the dtype is not floating.

    Examples
    --------
    >>> normal((2,), rng=0, mean=10.0, std=0.0).tolist()
    [10.0, 10.0]
    """
    std = checks.number(
        "init.normal", "std", std, "a finite number >= 0", lambda value: 0 <= value < math.inf
    )
    found = blank(shape, dtype)
    return _cast(
        "init.normal",
        backend.default_rng(rng).normal(mean, std, shape) if found is None else found,
        dtype,
    )


@plain_arguments
def kaiming_uniform(
    shape: Shape, *, rng: Seed, gain: float = RELU_GAIN, dtype: Any = "float32"
) -> Any:
    """Return numbers uniform on [-b, b) with b = gain sqrt(3 / fan_in): variance gain^2 / fan_in.

    Source: He et al. 2015 (arXiv 1502.01852), eq. 10, where gain = sqrt(2), for ReLU;
    theirs are Gaussian.

    Raises
    ------
    ShapeError
        If the shape is not (out, in) or (out, in, kh, kw).

    Examples
    --------
    >>> bool(abs(kaiming_uniform((4, 6), rng=0)).max() < 1)
    True
    """
    bound = gain * math.sqrt(3 / _fans("init.kaiming_uniform", shape)[0])
    return uniform(shape, rng=rng, low=-bound, high=bound, dtype=dtype)


@plain_arguments
def kaiming_normal(
    shape: Shape, *, rng: Seed, gain: float = RELU_GAIN, dtype: Any = "float32"
) -> Any:
    """Return Gaussian numbers of standard deviation gain / sqrt(fan_in).

    Source: He et al. 2015 (arXiv 1502.01852), eq. 10, where gain = sqrt(2), for ReLU.

    Raises
    ------
    ShapeError
        If the shape is not (out, in) or (out, in, kh, kw).

    Examples
    --------
    >>> kaiming_normal((4, 2, 3, 3), rng=0).shape
    (4, 2, 3, 3)
    """
    std = gain / math.sqrt(_fans("init.kaiming_normal", shape)[0])
    return normal(shape, rng=rng, std=std, dtype=dtype)


@plain_arguments
def xavier_uniform(shape: Shape, *, rng: Seed, gain: float = 1.0, dtype: Any = "float32") -> Any:
    """Return numbers uniform on [-b, b) with b = gain sqrt(6 / (fan_in + fan_out)).

    Source: Glorot & Bengio 2010 (AISTATS), eq. 16.

    Raises
    ------
    ShapeError
        If the shape is not (out, in) or (out, in, kh, kw).

    Examples
    --------
    >>> bool(abs(xavier_uniform((2, 4), rng=0)).max() < 1)
    True
    """
    bound = gain * math.sqrt(6 / sum(_fans("init.xavier_uniform", shape)))
    return uniform(shape, rng=rng, low=-bound, high=bound, dtype=dtype)


@plain_arguments
def xavier_normal(shape: Shape, *, rng: Seed, gain: float = 1.0, dtype: Any = "float32") -> Any:
    """Return Gaussian numbers of standard deviation gain sqrt(2 / (fan_in + fan_out)).

    Source: Glorot & Bengio 2010 (AISTATS), eq. 12.

    Raises
    ------
    ShapeError
        If the shape is not (out, in) or (out, in, kh, kw).

    Examples
    --------
    >>> xavier_normal((2, 4), rng=0).shape
    (2, 4)
    """
    std = gain * math.sqrt(2 / sum(_fans("init.xavier_normal", shape)))
    return normal(shape, rng=rng, std=std, dtype=dtype)


@plain_arguments
def orthogonal(shape: Shape, *, rng: Seed, gain: float = 1.0, dtype: Any = "float32") -> Any:
    """Return gain times orthonormal rows, or orthonormal columns if there are more rows than columns.

    Filters count as rows of in*kh*kw numbers. Uniform over such matrices: the Q of a
    Gaussian matrix's QR factors, its columns given the signs of R's diagonal (Mezzadri
    2007, arXiv math-ph/0609050).

    Raises
    ------
    ShapeError
        If the shape has fewer than two axes, or an empty one.

    Examples
    --------
    >>> q = orthogonal((2, 5), rng=0, dtype="float64")
    >>> bool(np.allclose(q @ q.T, np.eye(2)))
    True
    """
    p, d = _rows("init.orthogonal", shape)
    gaussian = normal((max(p, d), min(p, d)), rng=rng, dtype="float64")
    xp = backend.xp_of(gaussian)
    q, r = xp.linalg.qr(gaussian)
    q = q * xp.sign(xp.diagonal(r))
    return _cast("init.orthogonal", gain * (q if p >= d else q.T).reshape(shape), dtype)


@plain_arguments
def sphere(shape: Shape, *, rng: Seed, dtype: Any = "float32") -> Any:
    """Return unit rows, each uniform on the sphere: Gaussian ones, normalised over all axes but the first.

    Raises
    ------
    ShapeError
        If the shape has fewer than two axes, or an empty one.

    Examples
    --------
    >>> np.linalg.norm(sphere((3, 4), rng=0, dtype="float64"), axis=1).round(12).tolist()
    [1.0, 1.0, 1.0]
    """
    _rows("init.sphere", shape)
    found = blank(shape, dtype)
    values = Sphere().retract(normal(shape, rng=rng, dtype="float64")) if found is None else found
    return _cast("init.sphere", values, dtype)


def _rows(op: str, shape: Shape) -> tuple[int, int]:
    """Return (p, d), the number of rows and the size of each."""
    if len(shape) < 2 or min(shape) < 1:
        raise ShapeError(
            f"{op}: argument shape expected two axes or more, none of them empty, got {shape}"
        )
    return shape[0], math.prod(shape[1:])


def _fans(op: str, shape: Shape) -> tuple[int, int]:
    """Return (fan_in, fan_out)."""
    if len(shape) not in (2, 4) or min(shape) < 1:
        raise ShapeError(
            f"{op}: argument shape expected (out, in) or (out, in, kh, kw), none of them 0, got {shape}"
        )
    return math.prod(shape[1:]), shape[0] * math.prod(shape[2:])


def _cast(op: str, values: Any, dtype: Any) -> Any:
    """Return the values in a floating dtype."""
    array = backend.asarray(values, dtype=dtype)
    if array.dtype.kind != "f":
        raise DTypeError(
            f"{op}: argument dtype expected a floating one, got {array.dtype}; pass 'float32' or 'float64'"
        )
    return array
