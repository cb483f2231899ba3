"""The graph of what was computed.

A Tensor points to the Node that made it; a Node points to where its operands came from: to their Nodes, or to the
Tensor itself for a leaf. Nothing points from a Node to the Tensor it made, so no cycle keeps a graph alive.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from tinygrad_ckn._draw import to_dot, to_text
from tinygrad_ckn.backend import Shape, xp_of
from tinygrad_ckn.errors import DTypeError, GradientError
from tinygrad_ckn.modes import modes, users_line
from tinygrad_ckn.primitive import Plan, Primitive

__all__ = ["Node", "Variable", "apply", "check_finite", "edges_into", "next_sequence", "raw", "to_dot", "to_text"]

Edge: TypeAlias = "Node | Variable"
_count = itertools.count()  # later nodes have larger numbers, which makes an order of the graph


class Variable:
    """What the graph sees of a Tensor: its array, the Node that made it, and a version that each new value bumps."""

    __slots__ = ("__weakref__", "_data", "_node", "_requires_grad", "_version")
    _data: Any
    _node: Node | None
    _requires_grad: bool
    _version: list[int]  # shared with the views of the same memory

    tensor_type: type[Any]  # set by tensor.py

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

    @property
    def shape(self) -> Shape:
        """Size along each axis."""
        shape: Shape = self._data.shape
        return shape

    @property
    def dtype(self) -> Any:
        """Type of the elements."""
        return self._data.dtype


class Node:
    """One application of a primitive: its operands' edges, and what its rules need."""

    __slots__ = ("dtype", "edges", "env", "primitive", "sequence", "shape", "site", "versions")

    def __init__(self, primitive: Any, y: Any, edges: Sequence[Edge | None]) -> None:
        self.primitive = primitive
        self.shape: Shape = y.shape
        self.dtype = y.dtype
        self.edges = edges
        self.env: dict[str, Any] | None = {}  # None: freed
        self.versions: list[tuple[str, list[int], int]] = []
        self.sequence = next(_count)
        self.site = users_line() if modes.anomaly else ""

    @property
    def name(self) -> str:
        """Name of the operation."""
        name: str = self.primitive.name
        return name

    def retain(
        self,
        plan: Plan,
        args: Sequence[Any],
        arrays: Sequence[Any],
        options: Mapping[str, Any],
        result: tuple[Any, list[int]],
        saved: Any,
    ) -> None:
        """Keep what the rules name, and the versions of the tensors among it."""
        env: dict[str, Any] = {}
        primitive = self.primitive
        for name, position, _ in plan.operands:
            if position >= len(arrays):  # left out, as trailing operands may be
                env[name] = primitive.defaults[name]
                continue
            env[name] = arrays if primitive.variadic else arrays[position]
            for i, arg in enumerate(args) if primitive.variadic else ((position, args[position]),):
                if isinstance(arg, Variable):
                    label = primitive.label(i) if primitive.variadic else name
                    self.versions.append((label, arg._version, arg._version[0]))
        for name, position in plan.shapes:
            env[name] = tuple(_shape(a) for a in arrays) if primitive.variadic else _shape(arrays[position])
        for name in plan.options:
            position = primitive.names.index(name)
            given = position < len(arrays) and not primitive.variadic
            env[name] = option = arrays[position] if given else options.get(name, primitive.defaults.get(name))
            for part in option if isinstance(option, tuple) else (option,):
                if isinstance(part, Variable):  # an index
                    self.versions.append((name, part._version, part._version[0]))
        if plan.output:
            env["y"], version = result
            self.versions.append(("y", version, version[0]))
        if plan.saved:
            env["saved"] = saved
        self.env = env

    def pull(self, g: Any, wanted: set[Any] | None, differentiable: bool) -> list[Any]:
        """Return the gradient of each operand, given that of the output; None where there is none or it is unwanted."""
        env = self.fresh_env(differentiable)
        env["g"] = g
        asked = [edge is not None and (wanted is None or edge in wanted) for edge in self.edges]
        primitive = self.primitive
        if primitive.joint is None:
            pulled: list[Any] = []
            for name, ask in zip(primitive.operands, asked, strict=False):
                rule = primitive.rules[name] if ask else None
                pulled.append(rule and rule.function(*[env[need] for need in rule.needs]))
            return pulled
        count = len(asked) if primitive.variadic else len(primitive.operands)  # trailing ones may be left out
        env["wanted"] = (*asked, *[False] * (count - len(asked)))
        function, needs = primitive.joint
        gradients = list(function(*[env[need] for need in needs]))
        if len(gradients) != count:
            raise GradientError(
                f"{self.name}: the rule of {', '.join(primitive.operands)} expected to return {count} gradients, "
                f"got {len(gradients)}"
            )
        return gradients

    def check_retained(self) -> None:
        """Raise a GradientError if what was retained was freed or overwritten."""
        if self.env is None:
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

    def fresh_env(self, differentiable: bool) -> dict[str, Any]:
        """Return what the rules need: raw arrays, or Tensors with their history when the rules are differentiated."""
        env = dict(self.env or {})
        if not differentiable:
            return env
        versions = {name: version for name, version, _ in self.versions}
        for name in env.keys() & set(self.primitive.operands):
            if self.primitive.variadic:
                env[name] = tuple(
                    _rewrap(a, e, versions.get(self.primitive.label(i)))
                    for i, (a, e) in enumerate(zip(env[name], self.edges, strict=True))
                )
            else:
                number = self.primitive.operands.index(name)
                edge = self.edges[number] if number < len(self.edges) else None  # one that was left out
                env[name] = _rewrap(env[name], edge, versions.get(name))
        if "y" in env:
            env["y"] = Variable.wrap(env["y"], self, versions["y"])
        if "saved" in env:
            env["saved"] = None
        return env

    def release(self) -> None:
        """Drop what was retained, and the way to the nodes before."""
        self.env = None
        self.edges = ()
        self.versions = []


def raw(value: Any) -> Any:
    """Return the array of a Tensor; anything else as it is."""
    return value._data if isinstance(value, Variable) else value


def _shape(operand: Any) -> Shape:
    return operand.shape if hasattr(operand, "shape") else ()


def _rewrap(array: Any, edge: Edge | None, version: list[int] | None) -> Any:
    if isinstance(edge, Variable):
        return edge
    return array if edge is None and version is None else Variable.wrap(array, edge, version)


def apply(primitive: Primitive[Any], args: Sequence[Any], options: dict[str, Any]) -> Any:
    """Run a primitive of which an operand is a Tensor; record it if an operand requires grad."""
    options_left: Mapping[str, Any] = options
    if options:
        args, options_left = primitive.arrange(args, options)
    arrays = list(args)
    edges: list[Edge | None] = []
    wanted = bit = 0
    for position in range(len(args)) if primitive.variadic else primitive.positions:
        if position >= len(args):
            break
        arg = args[position]
        edge = None
        if isinstance(arg, Variable):
            arrays[position] = arg._data
            if arg._requires_grad and modes.recording:
                edge = arg._node or arg
                wanted |= 1 << bit
        edges.append(edge)
        bit += 1
    if options_left or len(args) > bit:
        _check_options(primitive, arrays, options_left)
    if wanted and primitive.saves_on_demand:
        options_left = {**options_left, "saving": True}
    y, saved = primitive.compute(arrays, options_left)
    if modes.anomaly:
        check_finite(y, f"the forward of {primitive.name!r}, called at {users_line()},")
    version = _version_of(y, args, arrays)
    node = None
    if wanted and y.dtype.kind == "f":
        _check_rules(primitive, edges)
        node = Node(primitive, y, edges)
        node.retain(primitive.plan(wanted), args, arrays, options_left, (y, version), saved)
    return Variable.wrap(y, node, version)


def _version_of(y: Any, args: Sequence[Any], arrays: Sequence[Any]) -> list[int]:
    """Return the version of the operand whose memory a result shares, or a new one."""
    if y.base is not None or y is arrays[0]:
        for arg, array in zip(args, arrays, strict=True):
            if isinstance(arg, Variable) and xp_of(y).may_share_memory(y, array):
                return arg._version
    return [0]


def _check_options(primitive: Primitive[Any], arrays: Sequence[Any], options: Mapping[str, Any]) -> None:
    given = {**dict(zip(primitive.names, arrays, strict=False)), **options} if not primitive.variadic else options
    for name, value in given.items():
        if isinstance(value, Variable) and name != "index":
            raise DTypeError(
                f"{primitive.name}: argument {name} expected a plain option, got a Tensor; no gradient goes there: "
                "pass its .item() or .tolist()"
            )


def _check_rules(primitive: Primitive[Any], edges: Sequence[Edge | None]) -> None:
    if primitive.joint is None and len(primitive.rules) < len(primitive.operands):
        names = primitive.operands * (len(edges) if primitive.variadic else 1)
        for name, edge in zip(names, edges, strict=False):
            if edge is not None and name not in primitive.rules:
                raise GradientError(
                    f"{primitive.name}: argument {name} has no derivative, but got a tensor that requires grad; "
                    "pass it as .detach()"
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
