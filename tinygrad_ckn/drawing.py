"""A Tensor as text, and its graph as DOT for Graphviz or as a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinygrad_ckn.notebook import html_table

if TYPE_CHECKING:
    # through the package's face: tensor.py itself imports this module
    from tinygrad_ckn import Tensor

# maximum number of values on the line of a Tensor's shape
MAX_IN_LINE = 12
# maximum number of rows and columns in a notebook
MAX_SIDE = 10


def summary(tensor: Tensor) -> str:
    """Return a Tensor's shape, dtype, device, operation or requires_grad, and values.

    More than 12 values start on a line of their own, as NumPy prints them: it summarises
    more than 1,000, a limit that `numpy.set_printoptions` changes.

    Examples
    --------
    >>> from tinygrad_ckn import Tensor
    >>> print(summary(Tensor(np.arange(2000).reshape(1000, 2))))
    Tensor((1000, 2), int64, cpu)
    [[   0    1]
     [   2    3]
     [   4    5]
     ...
     [1994 1995]
     [1996 1997]
     [1998 1999]]
    """
    text = str(tensor.data)
    values = (
        f"\n{text}"
        if tensor.size > MAX_IN_LINE
        else "".join(f" {line.strip()}" for line in text.splitlines())
    )
    node = tensor._node
    origin = f", op={node.name}" if node else ", requires_grad=True" if tensor.requires_grad else ""
    return (
        f"{type(tensor).__name__}({tensor.shape}, {tensor.dtype}, {tensor.device}{origin}){values}"
    )


def to_html(tensor: Tensor) -> str:
    """Return a Tensor as an HTML table for notebooks: at most 10 rows and 10 columns.

    Examples
    --------
    >>> from tinygrad_ckn import Tensor
    >>> to_html(Tensor([1.5, 2.0]))[:59]
    '<table><caption>Tensor, shape (2,), float64, cpu</caption><'
    """
    node = tensor._node
    origin = f", made by {node.name}" if node else ", requires grad" * tensor.requires_grad
    if not node and tensor.requires_grad:
        origin += ", no gradient yet" if tensor.grad is None else ", has a gradient"
    caption = f"{type(tensor).__name__}, shape {tensor.shape}, {tensor.dtype}, {tensor.device}"
    if not tensor.size:
        return html_table(caption + origin, [], [["no values"]])
    # The first matrix; a vector is one row.
    matrix = tensor.data.reshape((-1, *tensor.shape[-2:]) if tensor.ndim > 1 else (1, 1, -1))[0]
    shown = matrix[:MAX_SIDE, :MAX_SIDE].tolist()
    more = ["…"] if matrix.shape[1] > MAX_SIDE else []
    rows = [
        [f"{value:.4g}" if isinstance(value, float) else str(value) for value in row] + more
        for row in shown
    ]
    rows += [["…"] * len(rows[0])] if matrix.shape[0] > MAX_SIDE else []
    of = f"The first of {tensor.size // matrix.size:,} matrices."
    return html_table(caption + origin, [], rows, of if tensor.size > matrix.size else "")


def _label(edge: Any) -> str:
    name = edge.name if hasattr(edge, "parents") else "leaf"
    return f"{name} {edge.shape} {edge.dtype}"


def _root(tensor: Tensor) -> Any:
    return tensor._vertex


def to_dot(tensor: Tensor) -> str:
    """Return the graph of a Tensor as DOT text; arrows point from operand to result.

    `dot -Tsvg` draws it.

    Examples
    --------
    >>> from tinygrad_ckn import Tensor, graph
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> print(graph.to_dot((x * x).sum()))
    digraph {
      n0 [label="sum () float64"];
      n1 [label="multiply (2,) float64"];
      n1 -> n0;
      n2 [label="leaf (2,) float64", shape=box];
      n2 -> n1;
      n2 -> n1;
    }
    """
    numbers: dict[Any, int] = {}
    lines: list[str] = []

    def declare(edge: Any) -> None:
        numbers[edge] = len(numbers)
        box = "" if hasattr(edge, "parents") else ", shape=box"
        lines.append(f'  n{numbers[edge]} [label="{_label(edge)}"{box}];')

    stack = [_root(tensor)]
    declare(stack[0])
    while stack:
        node = stack.pop()
        for edge in getattr(node, "parents", ()):
            if edge is None:
                continue
            if edge not in numbers:
                declare(edge)
                stack.append(edge)
            lines.append(f"  n{numbers[edge]} -> n{numbers[node]};")
    return "\n".join(["digraph {", *lines, "}"])


def to_text(tensor: Tensor) -> str:
    """Return the graph of a Tensor as an indented tree; shared parts are written once.

    Examples
    --------
    >>> from tinygrad_ckn import Tensor, graph
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> print(graph.to_text((x * 2).sum()))
    sum () float64
      multiply (2,) float64
        leaf (2,) float64
    """
    lines: list[str] = []
    seen: set[Any] = set()
    stack = [(0, _root(tensor))]
    while stack:
        depth, edge = stack.pop()
        again = edge in seen and hasattr(edge, "parents")
        lines.append("  " * depth + _label(edge) + (" (see above)" if again else ""))
        if not again:
            seen.add(edge)
            stack += [
                (depth + 1, e) for e in reversed(getattr(edge, "parents", ())) if e is not None
            ]
    return "\n".join(lines)
