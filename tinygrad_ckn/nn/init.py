"""Initial values of weights, as NumPy arrays.

Shapes are (out, in) for a linear layer and (out, in/groups, kh, kw) for filters; fan_in
is the product of all sizes but the first, fan_out = out*kh*kw. Values are drawn in
float64 and rounded, so float32 weights are those of float64. `rng` is a generator or a
seed; None takes the next generator of the package (see `manual_seed`).
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from tinygrad_ckn import backend, checks
from tinygrad_ckn.backend import Array, DTypeLike, Generator, NDArray, Shape
from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.nn.blank import blank, without_values
from tinygrad_ckn.nn.constraint import Sphere
from tinygrad_ckn.plain import plain_arguments

__all__ = [
    "RELU_GAIN",
    "Seed",
    "constant",
    "kaiming_normal",
    "kaiming_uniform",
    "normal",
    "orthogonal",
    "sphere",
    "uniform",
    "without_values",
    "xavier_normal",
    "xavier_uniform",
]

Seed: TypeAlias = int | Generator | None

# He et al. 2015, eq. 10: ReLU halves the second moment.
RELU_GAIN = math.sqrt(2)


def constant(shape: Shape, value: float, *, dtype: DTypeLike = "float32") -> NDArray[Any]:
    """Return an array of one value.

    Parameters
    ----------
    shape
        Shape of the result.
    value
        Value of all elements.
    dtype
        Of the result; default float32.

    Examples
    --------
    >>> constant((2,), 3.0).tolist()
    [3.0, 3.0]
    """
    values = blank(shape, dtype)
    return backend.CPU.xp.full(shape, value, dtype=dtype) if values is None else values


@plain_arguments
def uniform(
    shape: Shape, *, rng: Seed, low: float = 0.0, high: float = 1.0, dtype: DTypeLike = "float32"
) -> NDArray[Any]:
    """Return values drawn uniformly from [low, high).

    Parameters
    ----------
    shape
        Shape of the result.
    rng
        Generator or seed; None: the next generator of the package.
    low, high
        Finite bounds; default 0 and 1.
    dtype
        Floating dtype of the result; default float32.

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
    values = blank(shape, dtype)
    if values is None:
        values = backend.default_rng(rng).uniform(low, high, shape)
    return _cast("init.uniform", values, dtype)


@plain_arguments
def normal(
    shape: Shape, *, rng: Seed, mean: float = 0.0, std: float = 1.0, dtype: DTypeLike = "float32"
) -> NDArray[Any]:
    """Return Gaussian values.

    Parameters
    ----------
    shape
        Shape of the result.
    rng
        Generator or seed; None: the next generator of the package.
    mean, std
        Mean and standard deviation; default 0 and 1.
    dtype
        Floating dtype of the result; default float32.

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
    checks.nonnegative("init.normal", std=std)
    values = blank(shape, dtype)
    if values is None:
        values = backend.default_rng(rng).normal(mean, float(std), shape)
    return _cast("init.normal", values, dtype)


@plain_arguments
def kaiming_uniform(
    shape: Shape, *, rng: Seed, gain: float = RELU_GAIN, dtype: DTypeLike = "float32"
) -> NDArray[Any]:
    """Return uniform values of variance gain^2 / fan_in.

    They lie in [-b, b) with b = gain sqrt(3 / fan_in). Source: He et al. 2015 (arXiv
    1502.01852), eq. 10, where they are Gaussian, with gain = sqrt(2) for ReLU.

    Parameters
    ----------
    shape
        (out, in) or (out, in, kh, kw).
    rng
        Generator or seed; None: the next generator of the package.
    gain
        Factor of the values; default sqrt(2).
    dtype
        Floating dtype of the result; default float32.

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
    shape: Shape, *, rng: Seed, gain: float = RELU_GAIN, dtype: DTypeLike = "float32"
) -> NDArray[Any]:
    """Return Gaussian values of standard deviation gain / sqrt(fan_in).

    Source: He et al. 2015 (arXiv 1502.01852), eq. 10, with gain = sqrt(2) for ReLU.

    Parameters
    ----------
    shape
        (out, in) or (out, in, kh, kw).
    rng
        Generator or seed; None: the next generator of the package.
    gain
        Factor of the values; default sqrt(2).
    dtype
        Floating dtype of the result; default float32.

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
def xavier_uniform(
    shape: Shape, *, rng: Seed, gain: float = 1.0, dtype: DTypeLike = "float32"
) -> NDArray[Any]:
    """Return uniform values from [-b, b) with b = gain sqrt(6 / (fan_in + fan_out)).

    Source: Glorot & Bengio 2010 (AISTATS), eq. 16.

    Parameters
    ----------
    shape
        (out, in) or (out, in, kh, kw).
    rng
        Generator or seed; None: the next generator of the package.
    gain
        Factor of the values; default 1.
    dtype
        Floating dtype of the result; default float32.

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
def xavier_normal(
    shape: Shape, *, rng: Seed, gain: float = 1.0, dtype: DTypeLike = "float32"
) -> NDArray[Any]:
    """Return Gaussian values of standard deviation gain sqrt(2 / (fan_in + fan_out)).

    Source: Glorot & Bengio 2010 (AISTATS), eq. 12.

    Parameters
    ----------
    shape
        (out, in) or (out, in, kh, kw).
    rng
        Generator or seed; None: the next generator of the package.
    gain
        Factor of the values; default 1.
    dtype
        Floating dtype of the result; default float32.

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
def orthogonal(
    shape: Shape, *, rng: Seed, gain: float = 1.0, dtype: DTypeLike = "float32"
) -> NDArray[Any]:
    """Return orthonormal rows times gain, or columns if there are more rows than columns.

    Filters count as rows of in*kh*kw numbers. The distribution is uniform: Q of the QR
    decomposition of a Gaussian matrix, with the signs of R's diagonal applied to its
    columns (Mezzadri 2007, arXiv math-ph/0609050).

    Parameters
    ----------
    shape
        Two axes or more.
    rng
        Generator or seed; None: the next generator of the package.
    gain
        Factor of the values; default 1.
    dtype
        Floating dtype of the result; default float32.

    Raises
    ------
    ShapeError
        If the shape has fewer than two axes, or a size 0.

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
def sphere(shape: Shape, *, rng: Seed, dtype: DTypeLike = "float32") -> NDArray[Any]:
    """Return unit rows, each uniformly distributed on the sphere.

    They are Gaussian values, normalised over all axes but the first.

    Parameters
    ----------
    shape
        Two axes or more.
    rng
        Generator or seed; None: the next generator of the package.
    dtype
        Floating dtype of the result; default float32.

    Raises
    ------
    ShapeError
        If the shape has fewer than two axes, or a size 0.

    Examples
    --------
    >>> np.linalg.norm(sphere((3, 4), rng=0, dtype="float64"), axis=1).round(12).tolist()
    [1.0, 1.0, 1.0]
    """
    _rows("init.sphere", shape)
    values: Array | None = blank(shape, dtype)
    if values is None:
        values = Sphere().retract(normal(shape, rng=rng, dtype="float64"))
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
            f"{op}: argument shape expected (out, in) or (out, in, kh, kw), none of them 0, "
            f"got {shape}"
        )
    return math.prod(shape[1:]), shape[0] * math.prod(shape[2:])


def _cast(op: str, values: Array, dtype: DTypeLike) -> NDArray[Any]:
    """Return the values in a floating dtype."""
    array: NDArray[Any] = backend.asarray(values, dtype=dtype)
    if array.dtype.kind != "f":
        raise DTypeError(
            f"{op}: argument dtype expected a floating one, got {array.dtype}; "
            "pass 'float32' or 'float64'"
        )
    return array


def __dir__() -> list[str]:
    return sorted(__all__)
