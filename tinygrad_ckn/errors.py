"""The errors and warnings of the library.

Each message is one sentence: operation, argument, expected, got, how to mend it.
"""


def printable(text: str) -> str:
    """Return text, which may quote a file, with escapes for what controls a terminal but ends of lines."""
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
    """Arrays of shapes, or options of sizes, that do not go together."""


class DTypeError(CKNError, TypeError):
    """An array of a dtype, or an argument of a type, that the operation does not take."""


class OpIndexError(CKNError, IndexError):
    """An index outside the array it indexes."""


class LinearAlgebraError(CKNError, ValueError):
    """A matrix without the property that an operation needs: symmetric, positive definite, invertible."""


class GradientError(CKNError, RuntimeError):
    """A derivative that does not exist, cannot be taken any more, or failed its check."""


class NotDifferentiableError(GradientError):
    """A point at which a gradient check finds no derivative: a kink, a jump, or the edge of the domain."""


class UndecidedError(GradientError):
    """A gradient check whose differences are too uncertain to call the gradient right or wrong."""


class BackendError(CKNError, RuntimeError):
    """An array library or a device that is missing, unusable, or mixed with another."""


class DataError(CKNError, ValueError):
    """Data, files or labels that are not what they should be; names the file and the byte offset where it applies."""


class TooFewPointsError(DataError):
    """Fewer distinct points than clusters are asked for: `found` of them."""

    def __init__(self, message: str, found: int = 0) -> None:
        super().__init__(message)
        self.found = found


class ConfigError(CKNError, ValueError):
    """An option of a model, an optimiser or a training run that is out of its range."""


class NotFittedError(CKNError, ValueError, AttributeError):
    """A model that is used before it was fitted; of the kinds that scikit-learn's error of this name is."""


class MissingPackageError(CKNError, ImportError):
    """An optional package that is not installed."""


class CKNWarning(UserWarning):
    """Base class of the library's warnings, which the command line prints as sentences."""


class DataWarning(CKNWarning):
    """Data that can be used, but of which a part is probably not what it should be."""


class TrainingWarning(CKNWarning):
    """A training that goes on, but not as it should: it gets worse, or something beside the model was not written."""
