"""The errors and warnings of the library.

Each message is one sentence: operation, argument, expected, got, how to fix it.
"""


def printable(text: str) -> str:
    """Return text with control characters escaped, except ends of lines."""
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    )


def how_to_install(extra: str) -> str:
    """Return the end of a sentence about a package that an extra of pyproject.toml brings.

    Examples
    --------
    >>> how_to_install("sklearn")
    "pip install -e '.[sklearn]' in a checkout of tinygrad-ckn"
    """
    return f"pip install -e '.[{extra}]' in a checkout of tinygrad-ckn"


class CKNError(Exception):
    """Base class of all errors of the library; each is one of Python's own kinds too."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(arg) if isinstance(arg, str) else arg for arg in args))


class ShapeError(CKNError, ValueError):
    """Shapes of arrays, or sizes in options, that do not match."""


class DTypeError(CKNError, TypeError):
    """An array of a wrong dtype, or an argument of a wrong type."""


class OpIndexError(CKNError, IndexError):
    """An index outside the array it indexes."""


class AxisError(ShapeError, OpIndexError):
    """An axis that an array does not have, or named twice; as NumPy's, of both kinds."""


class LinearAlgebraError(CKNError, ValueError):
    """A matrix that is not symmetric, positive definite or invertible as required."""


class GradientError(CKNError, RuntimeError):
    """A derivative that does not exist, is no longer available, or failed its check."""


class NotDifferentiableError(GradientError):
    """A gradient check at a point without a derivative: a kink, jump or end of domain."""


class UndecidedError(GradientError):
    """A gradient check whose differences are too uncertain to decide."""


class BackendError(CKNError, RuntimeError):
    """An array library or a device that is missing, unusable, or mixed with another."""


class DataError(CKNError, ValueError):
    """Invalid data, files or labels; names the file and byte offset if there is one."""


class StorageError(CKNError, OSError):
    """A disk without room for a file."""


class TooFewPointsError(DataError):
    """Fewer distinct points than clusters are asked for: `found` of them."""

    def __init__(self, message: str, found: int = 0) -> None:
        super().__init__(message)
        self.found = found


class ConfigError(CKNError, ValueError):
    """An option of a model, an optimiser or a training run that is out of its range."""


class NotFittedError(CKNError, ValueError, AttributeError):
    """A model used before it was fitted; also an error of scikit-learn's kinds."""


class MissingPackageError(CKNError, ImportError):
    """An optional package that is not installed."""


class CKNWarning(UserWarning):
    """Base class of the library's warnings, which the command line prints as sentences."""


class DataWarning(CKNWarning):
    """Usable data with a part that is probably wrong."""


class TrainingWarning(CKNWarning):
    """A training run that continues but gets worse, or could not write an extra file."""
