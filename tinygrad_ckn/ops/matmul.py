"""Products that contract axes: matmul and einsum."""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Sequence

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace, xp_of
from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.ops.shape import broadcast_to
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


@primitive(broadcasts=True)
def matmul(xp: Namespace, a: Array, b: Array) -> Array:
    """Return the matrix product over the last two axes.

    Parameters
    ----------
    a
        Matrices (..., n, k), or a vector (k,), taken as one row.
    b
        Matrices (..., k, m), or a vector (k,), taken as one column. Leading axes
        broadcast; the axis added to a vector is removed from the result.

    Raises
    ------
    ShapeError
        If the shapes do not match, or an operand is 0-d.

    Examples
    --------
    >>> matmul(Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([1.0, 1.0]))
    Tensor((2,), float64, cpu) [3. 7.]
    """
    return xp.matmul(a, b)


matmul.vjp(a=lambda g, a, b: _matmul_a(g, a, b), b=lambda g, a, b: _matmul_b(g, a, b))


def _matmul_a(g: Array, a: Array, b: Array) -> Array:
    if a.ndim == b.ndim == 2:
        return matmul(g, b.T)
    if b.ndim == 1:
        return _column(g) * b
    if a.ndim == 1:
        return matmul(b, _column(g)).reshape((*b.shape[:-2], len(a)))
    return matmul(g, b.swapaxes(-1, -2))


def _matmul_b(g: Array, a: Array, b: Array) -> Array:
    if a.ndim == b.ndim == 2:
        return matmul(a.T, g)
    if a.ndim == 1:
        return g * a if b.ndim == 1 else _column(a) * g.reshape((*g.shape[:-1], 1, g.shape[-1]))
    if b.ndim == 1:
        return matmul(a.swapaxes(-1, -2), _column(g)).reshape((*a.shape[:-2], len(b)))
    if b.ndim == 2 and a.ndim > 2:
        # One large product instead of many that are summed afterwards.
        rows = math.prod(a.shape[:-1])
        return matmul(a.reshape((rows, a.shape[-1])).swapaxes(0, 1), g.reshape((rows, g.shape[-1])))
    return matmul(a.swapaxes(-1, -2), g)


def _column(x: Array) -> Array:
    return x.reshape((*x.shape, 1))


@primitive(name="einsum", broadcasts=True)
def _contract(xp: Namespace, *operands: Array, subscripts: str) -> Array:
    """Return an einsum without diagonals and without sums over a single operand.

    The letters of each operand are distinct, and each occurs in the output or in another
    operand.
    """
    return xp.einsum(subscripts, *operands, optimize=True)


_contract.vjp(operands=lambda g, operands, subscripts: _contract_rules(g, operands, subscripts))


def _contract_rules(g: Array, operands: Sequence[Array], subscripts: str) -> list[Tensor]:
    terms, output = subscripts.split("->")
    inputs = terms.split(",")
    gradients = []
    for i, letters in enumerate(inputs):
        other_terms = inputs[:i] + inputs[i + 1 :]
        other_operands = [*operands[:i], *operands[i + 1 :]]
        equation = f"{','.join([output, *other_terms])}->{letters}"
        gradient = einsum(equation, g, *other_operands)
        # Where this operand has an axis of size 1 that was broadcast, the engine sums;
        # where the others have it, g is repeated.
        shape = tuple(
            n if m == 1 else m for n, m in zip(gradient.shape, operands[i].shape, strict=True)
        )
        gradients.append(gradient if gradient.shape == shape else broadcast_to(gradient, shape))
    return gradients


def einsum(subscripts: str, *operands: Array) -> Tensor:
    """Return a sum of products in Einstein notation, as `numpy.einsum`.

    Parameters
    ----------
    subscripts
        A letter for each axis of each operand, and `...` for the remaining axes, such as
        "ij,jk->ik". Without "->" the output has the letters that occur once, in
        alphabetical order.
    operands
        Arrays, one per comma-separated term; axes of size 1 broadcast.

    Raises
    ------
    ShapeError
        If the subscripts do not match the operands.
    DTypeError
        If `subscripts` is not a string, or an operand is not an array.

    Examples
    --------
    >>> einsum("ij,ij->i", Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([[1.0, 1.0], [2.0, 2.0]]))
    Tensor((2,), float64, cpu) [ 3. 14.]
    """
    if not isinstance(subscripts, str):
        raise DTypeError(
            "einsum: argument subscripts expected a string such as 'ij,jk->ik', and the arrays "
            f"after it, got {type(subscripts).__name__}; NumPy's form with lists of axes is not "
            "taken"
        )
    for i, operand in enumerate(operands):
        checks.array("einsum", **{f"operands[{i}]": operand})
    inputs, output = _parse(subscripts, operands)
    count = Counter(letter for term in [*inputs, output] for letter in set(term))
    reduced = []
    terms = []
    for operand, term in zip(operands, inputs, strict=True):
        array, letters = _diagonal(operand, term)
        lonely = tuple(i for i, letter in enumerate(letters) if count[letter] == 1)
        reduced.append(array.sum(axis=lonely) if lonely else array)
        terms.append("".join(letter for letter in letters if count[letter] > 1))
    return _contract(*reduced, subscripts=f"{','.join(terms)}->{output}")


def _parse(subscripts: str, operands: Sequence[Array]) -> tuple[list[str], str]:
    """Return the letters of each operand and of the output.

    `...` is written out with letters that are not yet in use.
    """
    terms, arrow, output = subscripts.replace(" ", "").partition("->")
    inputs = terms.split(",")
    alphabet = string.ascii_uppercase + string.ascii_lowercase
    unused = [letter for letter in alphabet if letter not in subscripts]
    # Number of axes that `...` stands for in each operand.
    dots = [
        unwrap(x).ndim - len(term.replace("...", ""))
        for x, term in zip(operands, inputs, strict=False)
    ]
    matches = (
        max(term.count("...") for term in inputs) <= 1
        and len(inputs) == len(operands)
        and all(n == 0 or (n > 0 and "..." in t) for n, t in zip(dots, inputs, strict=True))
    )
    if not operands or not matches:
        shapes = ", ".join(str(tuple(unwrap(x).shape)) for x in operands)
        raise ShapeError(
            f"einsum: subscripts {subscripts!r} expected one letter per axis of each operand, "
            f"got {shapes}"
        )
    longest = max(dots)
    batch = "".join(unused[:longest])
    inputs = [
        term.replace("...", batch[longest - n :]) for term, n in zip(inputs, dots, strict=True)
    ]
    if not arrow:
        letters = Counter("".join(inputs))
        output = batch + "".join(sorted(x for x, n in letters.items() if n == 1 and x not in batch))
    elif batch and "..." not in output:
        raise ShapeError(
            f"einsum: output of {subscripts!r} expected to have the inputs' '...', got {output!r}"
        )
    output = output.replace("...", batch)
    if len(set(output)) < len(output) or not set(output) <= set("".join(inputs)):
        raise ShapeError(
            f"einsum: output of {subscripts!r} expected distinct letters of the inputs, "
            f"got {output!r}"
        )
    return inputs, output


def _diagonal(x: Array, letters: str) -> tuple[Array, str]:
    """Take the diagonal over each repeated letter of a term; it moves to the front."""
    for letter in sorted({a for a in letters if letters.count(a) > 1}):
        axes = [i for i, a in enumerate(letters) if a == letter]
        sizes = {x.shape[i] for i in axes}
        if len(sizes) > 1:
            raise ShapeError(
                f"einsum: repeated letter {letter!r} expected axes of one size, got {sorted(sizes)}"
            )
        steps = xp_of(unwrap(x)).arange(sizes.pop())
        rest = [i for i in range(len(letters)) if i not in axes]
        x = getitem(x.transpose((*axes, *rest)), (steps,) * len(axes))
        letters = letter + "".join(letters[i] for i in rest)
    return x, letters
