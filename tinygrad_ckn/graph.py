"""The graph of what was computed.

A Tensor points to the Node that made it; a Node points to where its operands came from:
to their Nodes, or to the Tensor itself for a leaf. Nothing points from a Node to the
Tensor it made, so no cycle keeps a graph alive.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeAlias, cast

from tinygrad_ckn.backend import CPU, Shape, xp_of
from tinygrad_ckn.drawing import to_dot, to_text
from tinygrad_ckn.errors import DTypeError, GradientError
from tinygrad_ckn.grad_mode import is_recording, is_searching_nan, users_line
from tinygrad_ckn.ownership import FIXED, own_operands, own_option
from tinygrad_ckn.primitive import Plan, Primitive

__all__ = [
    "Node",
    "Variable",
    "apply",
    "check_finite",
    "edges_into",
    "next_sequence",
    "to_dot",
    "to_text",
    "unwrap",
]

Edge: TypeAlias = "Node | Variable"
NO_OPTIONS: Mapping[str, Any] = {}
# later nodes have larger numbers, which makes an order of the graph
_count = itertools.count()


class Variable:
    """What the graph sees of a Tensor: its array, the Node that made it, and a version that each new value bumps."""

    __slots__ = ("__weakref__", "_data", "_node", "_requires_grad", "_version")
    _data: Any
    _node: Node | None
    _requires_grad: bool
    # shared with the views of the same memory
    _version: list[int]

    # set by tensor.py
    tensor_type: type[Any]

    @staticmethod
    def wrap(data: Any, node: Node | None = None, version: list[int] | None = None) -> Any:
        """Make a Tensor of an array, without a copy."""
        tensor = object.__new__(Variable.tensor_type)
        tensor._data = data
        tensor._node = node
        tensor._requires_grad = node is not None
        tensor._version = [0] if version is None else version
        tensor._grad = None
        return tensor

    @staticmethod
    def leaf(data: Any) -> Any:
        """Make a Tensor that requires grad on an array, wherever it is, without a copy."""
        tensor = Variable.wrap(data)
        tensor._requires_grad = True
        return tensor

    shape: Any = property(attrgetter("_data.shape"), doc="Size along each axis.")
    dtype: Any = property(attrgetter("_data.dtype"), doc="Type of the elements.")


class Node:
    """One application of a primitive: its operands' edges, and what its rules need."""

    __slots__ = (
        "dtype",
        "edges",
        "kept",
        "plan",
        "primitive",
        "sequence",
        "shape",
        "site",
        "versions",
    )
    # what to retain, and the rules
    plan: Plan

    def __init__(self, primitive: Any, y: Any, edges: Sequence[Edge | None]) -> None:
        self.primitive = primitive
        self.shape: Shape = y.shape
        self.dtype = y.dtype
        self.edges = edges
        # None: freed
        self.kept: list[Any] | None = []
        self.versions: list[tuple[str, list[int], int]] = []
        self.sequence = next(_count)
        # the user's line, in the search for NaN
        self.site = ""

    @property
    def name(self) -> str:
        """Name of the operation."""
        name: str = self.primitive.name
        return name

    def retain(  # noqa: PLR0912  # a branch for each kind of thing that is retained
        self,
        args: Sequence[Any],
        arrays: Sequence[Any],
        options: Mapping[str, Any],
        result: tuple[Any, list[int], Any],
    ) -> None:
        """Keep what the rules name, and the versions of the tensors among it."""
        plan = self.plan
        kept: list[Any] = []
        versions = self.versions
        for name, number in plan.operands:
            if self.primitive.variadic:
                kept.append(tuple(arrays))
                versions += [
                    (self.primitive.label(i), arg._version, arg._version[0])
                    for i, arg in enumerate(args)
                    if isinstance(arg, Variable)
                ]
            elif number >= len(arrays):
                # left out, as operands at the end may be
                kept.append(self.primitive.defaults[name])
            else:
                kept.append(arrays[number])
                arg = args[number]
                if isinstance(arg, Variable):
                    versions.append((name, arg._version, arg._version[0]))
        for name, number in plan.others:
            if number < 0:
                option = options.get(name, self.primitive.defaults.get(name))
                kept.append(option if type(option) in FIXED else own_option(option))
                for part in option if isinstance(option, tuple) else (option,):
                    # an index
                    if isinstance(part, Variable):
                        versions.append((name, part._version, part._version[0]))
            else:
                kept.append(
                    tuple(map(_shape, arrays))
                    if self.primitive.variadic
                    else _shape(arrays[number])
                )
        if plan.output or plan.saved:
            y, version, saved = result
            if plan.output:
                kept.append(y)
                versions.append(("y", version, version[0]))
            if plan.saved:
                kept.append(saved)
        self.kept = kept

    def pull(self, g: Any, wanted: set[Any] | None, differentiable: bool) -> list[Any]:
        """Return the gradient of each operand, given that of the output; None where there is none or it is unwanted."""
        kept = self.kept or ()
        values = (g, *(self.recorded(kept) if differentiable else kept))
        if self.plan.joint:
            return self._pull_jointly(values, wanted)
        gradients: list[Any] = []
        for rule in self.plan.rules:
            if rule is None or (wanted is not None and self.edges[len(gradients)] not in wanted):
                gradients.append(None)
            else:
                function, pick = rule
                gradients.append(function(*pick(values)))
        return gradients

    def _pull_jointly(self, values: tuple[Any, ...], wanted: set[Any] | None) -> list[Any]:
        primitive = self.primitive
        count = len(self.edges) if primitive.variadic else len(primitive.operands)
        asked = [edge is not None and (wanted is None or edge in wanted) for edge in self.edges]
        # operands that were left out
        asked += [False] * (count - len(asked))
        ((function, pick),) = cast("Any", self.plan.rules)
        gradients = list(function(*pick((*values, tuple(asked)))))
        if len(gradients) != count:
            raise GradientError(
                f"{self.name}: the rule of {', '.join(primitive.operands)} expected to return {count} gradients, "
                f"got {len(gradients)}"
            )
        return gradients

    def check_retained(self) -> None:
        """Raise a GradientError if what was retained was freed or overwritten."""
        if self.kept is None:
            raise GradientError(
                f"backward: the graph through {self.name!r} was freed by an earlier backward; "
                "pass retain_graph=True to that one to run it twice"
            )
        for name, version, retained in self.versions:
            if version[0] != retained:
                what = "the result" if name == "y" else f"argument {name}"
                raise GradientError(
                    f"backward: {what} of {self.name!r} (output shape {self.shape}) expected the data it was "
                    "computed with, got data assigned since; run backward before assigning, or compute it again"
                )

    def recorded(self, kept: Sequence[Any]) -> list[Any]:
        """Return what is retained for rules that are differentiated: operands and output with their history."""
        plan, primitive = self.plan, self.primitive
        versions = {name: version for name, version, _ in self.versions}
        values = list(kept)
        for place, (name, number) in enumerate(plan.operands):
            if primitive.variadic:
                labels = map(primitive.label, range(len(self.edges)))
                values[place] = tuple(
                    _rewrap(a, e, versions.get(label))
                    for a, e, label in zip(values[place], self.edges, labels, strict=True)
                )
            elif number < len(self.edges):
                values[place] = _rewrap(values[place], self.edges[number], versions.get(name))
        if plan.output:
            place = plan.names.index("y")
            values[place] = Variable.wrap(values[place], self, versions["y"])
        if plan.saved:
            values[-1] = None
        return values

    def release(self) -> None:
        """Drop what was retained, and the way to the nodes before."""
        self.kept = None
        self.edges = ()
        self.versions = []


def unwrap(value: Any) -> Any:
    """Return the array of a Tensor; anything else as it is."""
    return value._data if isinstance(value, Variable) else value


def _shape(operand: Any) -> Shape:
    return operand.shape if hasattr(operand, "shape") else ()


def _rewrap(array: Any, edge: Edge | None, version: list[int] | None) -> Any:
    if isinstance(edge, Variable):
        return edge
    return array if edge is None and version is None else Variable.wrap(array, edge, version)


def apply(  # noqa: PLR0912  # a call of a function costs as much as a small operation
    primitive: Primitive[Any], args: Sequence[Any], options: Mapping[str, Any] = NO_OPTIONS
) -> Any:
    """Run a primitive of which an operand is a Tensor; record it if an operand requires grad."""
    if options:
        _check_options(primitive, options)
    arrays: list[Any] = []
    edges: list[Edge | None] = []
    wanted, bit = 0, 1
    host = True
    raw_among = False
    recording = is_recording.get()
    for arg in args:
        if isinstance(arg, Variable):
            array = arg._data
            arrays.append(array)
            if type(array) is not CPU.array_type:
                host = False
            if recording and arg._requires_grad:
                edges.append(arg._node or arg)
                wanted |= bit
            else:
                edges.append(None)
        else:
            host = False
            arrays.append(arg)
            edges.append(None)
            if type(arg) not in FIXED:
                raw_among = True
        bit <<= 1
    backend = CPU if host else primitive.backend_of(arrays)
    plan: Plan | None = None
    if wanted:
        if raw_among:
            plan = _own_operands(primitive, wanted, args, arrays)
        if primitive.saves_on_demand:
            options = {**options, "saving": True}
    y, saved = primitive.compute(backend, arrays, options)
    anomaly = is_searching_nan.get()
    if anomaly:
        check_finite(y, f"the forward of {primitive.name!r}, called at {users_line()},")
    version = [0] if y.base is None and y is not arrays[0] else _version_of(y, args, arrays)
    if not wanted or y.dtype.kind != "f":
        return Variable.wrap(y, None, version)
    node = Node(primitive, y, edges)
    node.plan = plan = plan or primitive.plan(wanted)
    if plan.names:
        node.retain(args, arrays, options, (y, version, saved))
    if anomaly:
        node.site = users_line()
    return Variable.wrap(y, node, version)


def _own_operands(
    primitive: Primitive[Any], wanted: int, args: Sequence[Any], arrays: list[Any]
) -> Plan | None:
    """Replace raw arrays that a rule will read by copies, before the forward sees them: it may save views of them."""
    try:
        plan = primitive.plan(wanted)
    except GradientError:
        # to be raised if the result turns out to be differentiable
        return None
    own_operands(arrays, args, plan.reads)
    return plan


def _version_of(y: Any, args: Sequence[Any], arrays: Sequence[Any]) -> list[int]:
    """Return the version of the operand whose memory a result shares, or a new one."""
    for arg, array in zip(args, arrays, strict=True):
        if isinstance(arg, Variable) and xp_of(y).may_share_memory(y, array):
            return arg._version
    return [0]


def _check_options(primitive: Primitive[Any], options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if isinstance(value, Variable) and name != "index":
            raise DTypeError(
                f"{primitive.name}: argument {name} expected a plain option, got a Tensor; no gradient goes there: "
                "pass its .item() or .tolist()"
            )


def check_finite(array: Any, what: str) -> None:
    """Raise a GradientError that says what made a NaN or infinity, if there is one."""
    if array.dtype.kind == "f" and not xp_of(array).isfinite(array).all():
        raise GradientError(f"detect_anomaly: {what} made the first NaN or infinity")


def next_sequence() -> int:
    """Return a number that is larger than those of all nodes so far, and smaller than those of all to come."""
    return next(_count)


def edges_into(node: Node, start: int) -> list[Edge]:
    """Return where the part of a graph made after `start` begins: leaves and older nodes that it reads."""
    inner, stack, found = {node}, [node], dict[Edge, None]()
    while stack:
        for edge in stack.pop().edges:
            if isinstance(edge, Node) and edge.sequence > start:
                if edge not in inner:
                    inner.add(edge)
                    stack.append(edge)
            elif edge is not None:
                found[edge] = None
    return list(found)


Primitive.dispatch = staticmethod(apply)
Primitive.variable_type = Variable
