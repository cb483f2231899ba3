"""The graph of what was computed.

A Tensor points to the Node that made it; a Node points to where its operands came from:
to their Nodes, or to the Tensor itself for a leaf. Nothing points from a Node to the
Tensor it made, so no cycle keeps a graph alive.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from tinygrad_ckn import refusals
from tinygrad_ckn.backend import CPU, DType, Shape, is_number, xp_of
from tinygrad_ckn.drawing import to_dot, to_text
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.grad_mode import check_finite, is_recording, is_searching_nan, users_line
from tinygrad_ckn.ownership import FIXED, own_operands, own_option
from tinygrad_ckn.plain import plain
from tinygrad_ckn.plan import Plan
from tinygrad_ckn.primitive import Primitive

if TYPE_CHECKING:
    from tinygrad_ckn import Tensor

__all__ = [
    "Node",
    "Variable",
    "Vertex",
    "apply",
    "next_sequence",
    "parents_since",
    "to_dot",
    "to_text",
    "unwrap",
]

Vertex: TypeAlias = "Node | Variable"
NO_OPTIONS: Mapping[str, Any] = {}
_HOST: Any = CPU.array_type
# Later nodes have larger numbers, so numbers order the graph.
_count = itertools.count()


class Variable:
    """The part of a Tensor that the graph sees: its array, its Node, and a version.

    Each assignment of data increments the version.
    """

    __slots__ = ("__weakref__", "_data", "_node", "_requires_grad", "_version")
    _data: Any
    _node: Node | None
    _requires_grad: bool
    # shared with the views of the same memory
    _version: list[int]

    # set by tensor.py
    tensor_type: type[Tensor]

    @staticmethod
    def wrap(data: Any, node: Node | None = None, version: list[int] | None = None) -> Tensor:
        """Make a Tensor of an array, without a copy."""
        tensor = object.__new__(Variable.tensor_type)
        tensor._data = data
        tensor._node = node
        tensor._requires_grad = node is not None
        tensor._version = [0] if version is None else version
        tensor._grad = None
        return tensor

    @staticmethod
    def leaf(data: Any) -> Tensor:
        """Make a Tensor that requires grad of an array of any backend, without a copy."""
        tensor = Variable.wrap(data)
        tensor._requires_grad = True
        return tensor

    @property
    def _vertex(self) -> Vertex:
        """The Node that made it; of a leaf, itself."""
        return self._node or self

    if TYPE_CHECKING:

        @property
        def shape(self) -> Shape:
            """Size along each axis."""
            ...

        @property
        def dtype(self) -> DType:
            """Type of the elements."""
            ...

    else:
        shape = property(attrgetter("_data.shape"), doc="Size along each axis.")
        dtype = property(attrgetter("_data.dtype"), doc="Type of the elements.")


class Node:
    """One application of a primitive: its parents in the graph, and what its rules need."""

    __slots__ = (
        "__weakref__",
        "dtype",
        "parents",
        "plan",
        "primitive",
        "residuals",
        "sequence",
        "shape",
        "site",
        "versions",
    )

    def __init__(
        self,
        primitive: Any,
        y: Any,
        parents: Sequence[Vertex | None],
        plan: Plan | None,
        site: str = "",
    ) -> None:
        self.primitive = primitive
        self.shape: Shape = y.shape
        self.dtype: DType = y.dtype
        # one per operand; None: no gradient goes there
        self.parents: Sequence[Vertex | None] = parents
        self.plan: Any = plan
        # None: freed
        self.residuals: list[Any] | None = []
        # Per Tensor saved: operand number or argument name, shared version, its value then.
        self.versions: list[tuple[int | str, list[int], int]] = []
        self.sequence = next(_count)
        # the user's line, in the search for NaN
        self.site = site

    @property
    def name(self) -> str:
        """Name of the operation."""
        name: str = self.primitive.name
        return name

    def save(
        self,
        operands: Sequence[Any],
        arrays: Sequence[Any],
        options: Mapping[str, Any],
        result: tuple[Any, list[int], Any],
    ) -> None:
        """Save what the rules name, and the versions of the Tensors among it."""
        plan = self.plan
        residuals = self.residuals = []
        versions = self.versions
        for i in plan.operands:
            residuals.append(arrays[i])
            operand = operands[i]
            if isinstance(operand, Variable):
                versions.append((i, operand._version, operand._version[0]))
        for i in plan.shapes:
            residuals.append(getattr(arrays[i], "shape", ()))
        defaults = self.primitive.defaults
        for name in plan.options:
            value = options.get(name, defaults.get(name))
            residuals.append(value if type(value) in FIXED else own_option(value))
            if name in self.primitive.indices:
                self._watch_index(name, value)
        if plan.all_options:
            named = {name: options.get(name, defaults.get(name)) for name in self.primitive.options}
            residuals.append({name: own_option(value) for name, value in named.items()})
        y, version, saved = result
        if plan.output:
            residuals.append(y)
            versions.append(("y", version, version[0]))
        if plan.saved:
            residuals.append(saved)

    def _watch_index(self, name: str, index: Any) -> None:
        """Save the versions of the Tensors in an index."""
        for part in index if isinstance(index, tuple) else (index,):
            if isinstance(part, Variable):
                self.versions.append((name, part._version, part._version[0]))

    def vjp(self, g: Any, needed: set[Vertex] | None, differentiable: bool) -> Sequence[Any]:
        """Return the gradient of each operand, given that of the output.

        It is None for an operand that needs none. `needed` are the vertices whose gradient
        is asked for; None: all.
        """
        values = (g, *(self.as_tensors() if differentiable else self.residuals or ()))
        if self.plan.joint:
            return self._vjp_jointly(values, needed)
        gradients: list[Any] = []
        for rule in self.plan.rules:
            if rule is None or (needed is not None and self.parents[len(gradients)] not in needed):
                gradients.append(None)
            else:
                function, select = rule
                gradients.append(function(*select(values)))
        return gradients

    def _vjp_jointly(self, values: tuple[Any, ...], needed: set[Vertex] | None) -> Sequence[Any]:
        ((function, select),) = self.plan.rules
        needs_grad = tuple(p is not None and (needed is None or p in needed) for p in self.parents)
        gradients = list(function(*select((*values, needs_grad))))
        if len(gradients) != len(needs_grad):
            raise refusals.count_of_gradients(self.primitive, len(needs_grad), len(gradients))
        return gradients

    def check_residuals(self) -> None:
        """Raise a GradientError if what was saved was freed, or assigned since."""
        if self.residuals is None:
            raise refusals.graph_freed(self.name)
        for source, version, then in self.versions:
            if version[0] != then:
                name = source if isinstance(source, str) else self.primitive.label(source)
                what = "the result" if source == "y" else f"argument {name}"
                raise refusals.data_assigned(self.name, what, self.shape)

    def as_tensors(self) -> list[Any]:
        """Return the residuals for rules that are differentiated: Tensors with their history."""
        plan = self.plan
        residuals = list(self.residuals or ())
        versions = {source: version for source, version, _ in self.versions}
        for place, i in enumerate(plan.operands):
            parent, version = self.parents[i], versions.get(i)
            if isinstance(parent, Variable):
                # a leaf
                residuals[place] = parent
            elif parent is not None or version is not None:
                # the result of a node, or a Tensor without gradient, watched for changes
                residuals[place] = Variable.wrap(residuals[place], parent, version)
        if plan.output:
            place = -2 if plan.saved else -1
            residuals[place] = Variable.wrap(residuals[place], self, versions["y"])
        if plan.saved:
            residuals[-1] = None
        return residuals

    def release(self) -> None:
        """Drop what was saved, and the way to the nodes before."""
        self.residuals = None
        self.parents = ()
        self.versions = []


def unwrap(value: Any) -> Any:
    """Return the array of a Tensor; anything else unchanged."""
    return value._data if isinstance(value, Variable) else value


def apply(
    primitive: Primitive[Any], operands: Sequence[Any], options: Mapping[str, Any] = NO_OPTIONS
) -> Tensor:
    """Run a primitive on Tensors, and record it if an operand requires grad."""
    arrays: list[Any] = []
    parents: list[Vertex | None] = []
    # one bit per operand
    needs_grad = 0
    on_host = True
    any_raw = False
    recording = is_recording.get()
    bit = 1
    for operand in operands:
        array = operand
        parent: Vertex | None = None
        if isinstance(operand, Variable):
            array = operand._data
            if recording and operand._requires_grad:
                parent = operand._node or operand
                needs_grad |= bit
        elif type(operand) not in FIXED:
            if is_number(operand) and primitive.takes_numbers:
                # counts as a Python number: it keeps the dtype of what is beside it
                array = plain(operand)
            else:
                any_raw = True
        if type(array) is not _HOST:
            on_host = False
        arrays.append(array)
        parents.append(parent)
        bit <<= 1
    backend = CPU if on_host else primitive.backend_of(arrays)
    if needs_grad:
        if any_raw:
            _own_operands(primitive, needs_grad, operands, arrays)
        options = {**options, "saving": True} if primitive.saves_on_demand else options
    y, saved = primitive.compute(backend, arrays, options)
    site = _checked_site(primitive, y) if is_searching_nan.get() else ""
    # `_version_of` begins with the same question; a call costs more.
    is_new = y.base is None and y is not arrays[0] and y is not arrays[-1] and len(arrays) < 3
    version = [0] if is_new else _version_of(y, operands, arrays)
    if not needs_grad or y.dtype.kind != "f":
        return Variable.wrap(y, None, version)
    plan = primitive.plan(needs_grad, len(arrays))
    node = Node(primitive, y, parents, plan, site)
    if plan.saves:
        node.save(operands, arrays, options, (y, version, saved))
    return Variable.wrap(y, node, version)


def _checked_site(primitive: Primitive[Any], y: Any) -> str:
    """Return the user's line that called a primitive, after looking for NaN in the result."""
    site = users_line()
    check_finite(y, f"the forward of {primitive.name!r}, called at {site},")
    return site


def _own_operands(
    primitive: Primitive[Any], needs_grad: int, operands: Sequence[Any], arrays: list[Any]
) -> None:
    """Replace raw arrays that a rule will read by copies, before the forward sees them."""
    try:
        plan = primitive.plan(needs_grad, len(arrays))
    except GradientError:
        # `apply` asks for the plan again if the result is floating.
        return
    own_operands(arrays, operands, plan.reads)


def _version_of(y: Any, operands: Sequence[Any], arrays: Sequence[Any]) -> list[int]:
    """Return the version of the operand whose memory a result shares, or a new one."""
    if y.base is None and all(y is not array for array in arrays):
        return [0]
    for operand, array in zip(operands, arrays, strict=True):
        if isinstance(operand, Variable) and xp_of(y).may_share_memory(y, array):
            return operand._version
    return [0]


def next_sequence() -> int:
    """Return a number larger than those of all nodes so far, and smaller than all to come."""
    return next(_count)


def parents_since(node: Node, start: int) -> list[Vertex]:
    """Return the leaves and older nodes read by the part of a graph made after `start`."""
    inner = {node}
    stack = [node]
    # in the order in which they are met
    outer: dict[Vertex, None] = {}
    while stack:
        for parent in stack.pop().parents:
            if isinstance(parent, Node) and parent.sequence > start:
                if parent not in inner:
                    inner.add(parent)
                    stack.append(parent)
            elif parent is not None:
                outer[parent] = None
    return list(outer)


# A call of a primitive on Tensors comes here.
Primitive.dispatch = staticmethod(apply)
Primitive.variable_type = Variable
