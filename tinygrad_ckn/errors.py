"""The errors of the library, and its warning.

Each message is one sentence: operation, argument, expected, got, how to mend it.
"""


class CKNError(Exception):
    """What all errors of the library are; each is one of Python's own kinds too."""


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


class TrainingWarning(UserWarning):
    """A training that goes on, but not as it should: it gets worse, or something beside the model was not written."""


class MissingPackageError(CKNError, ImportError):
    """An optional package that is not installed."""
