"""Embedding: a table of vectors, read by number."""

from __future__ import annotations

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, DTypeLike, backend_of
from tinygrad_ckn.errors import DataError, DTypeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.nn import init
from tinygrad_ckn.nn.init import Seed
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.nn.parameter import Parameter
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.ops.losses.labels import in_range
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor


class Embedding(Module):
    """Rows of a trained table: integers of any shape (...) -> (..., embedding_dim).

    The gradient of a row that is read several times is the sum over the places.

    Parameters
    ----------
    num_embeddings, embedding_dim
        Rows and columns of the table, at least 1.
    rng
        Generator or seed that the table is drawn with, from the standard normal
        distribution as in PyTorch. None (default): the next generator of the package, see
        `manual_seed`.
    dtype
        Of the table; default float32.

    Raises
    ------
    ConfigError
        If a size is not a positive integer.

    Examples
    --------
    >>> Embedding(10, 3, rng=0)(np.array([[1, 2], [2, 9]])).shape
    (2, 2, 3)
    """

    # (num_embeddings, embedding_dim)
    weight: Parameter

    @plain_arguments
    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        rng: Seed = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        checks.integers("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings = int(num_embeddings)
        self.embedding_dim = int(embedding_dim)
        shape = (self.num_embeddings, self.embedding_dim)
        self.weight = Parameter(init.normal(shape, rng=rng, dtype=dtype))

    def forward(self, indices: Array) -> Tensor:
        """Return the rows of the given numbers.

        Raises
        ------
        DTypeError
            If the indices are not an array of integers.
        DataError
            If one is negative, or num_embeddings or more. On a GPU they are not read: the
            result is NaN.
        """
        owner = f"Embedding({self.extra_repr()})"
        checks.array(owner, indices=indices)
        array = unwrap(indices)
        if array.dtype.kind not in "iu":
            raise DTypeError(
                f"{owner}: argument indices expected integers, got {array.dtype}; "
                "use .astype('int64')"
            )
        if (
            array.size
            and not backend_of(array).asynchronous
            and not 0 <= int(array.min()) <= int(array.max()) < self.num_embeddings
        ):
            raise DataError(
                f"{owner}: argument indices expected numbers 0 .. {self.num_embeddings - 1}, "
                f"got {array.min()} .. {array.max()}"
            )
        return getitem(self.weight, in_range(array, self.num_embeddings))

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.num_embeddings}, {self.embedding_dim}"
