"""Primitives: a forward on raw arrays, and beside it a rule per operand. Knows no Tensor.

    @primitive(broadcasts=True)
    def multiply(xp, a: Array, b: Array) -> Array:
        return xp.multiply(a, b)

    multiply.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)

*Operands* are the parameters annotated `Array`; the others are static options. A rule gets the gradient `g` of the
output and returns that of its operand. Its parameter names say what it needs, and so what is retained until then:
`y` (the output), any operand, any option, `<operand>_shape` (costs nothing), and `saved`: what a forward declared with
`saves=True` returned beside its output, for a rule to reuse. `saved` is None while the rule itself is differentiated.
A forward to which saving is not free has a keyword option `saving=False`, which is True where a rule will ask for it.
Rules are written with public operations, which take arrays and Tensors alike, so they can be differentiated again.

Where the gradients of several operands share most of their work, one rule returns them all, in a list in the order of
the operands, with None where `wanted` (a bool for each operand) says that nobody asks:

    fused.vjp_jointly(lambda g, x, z, saved, wanted: [...])

Primitives of any number of operands (`*arrays: Array`) have such a rule always.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, get_args, get_type_hints

from tinygrad_ckn.backend import Array, Namespace, backend_of, check_real, is_array, xp_of
from tinygrad_ckn.errors import CKNError, DTypeError, OpIndexError, ShapeError

P = ParamSpec("P")
REGISTRY: dict[str, Primitive[Any]] = {}


class Rule(NamedTuple):
    """A vector-Jacobian product, and the names of what it needs."""

    function: Callable[..., Any]
    needs: tuple[str, ...]


class Plan(NamedTuple):
    """What to retain for a given set of operands that need a gradient."""

    operands: tuple[tuple[str, int, int], ...]  # name, position among the arguments, number among the operands
    shapes: tuple[tuple[str, int], ...]  # name, position among the arguments
    options: tuple[str, ...]
    output: bool
    saved: bool


class Primitive(Generic[P]):
    """A differentiable operation: call it on arrays or Tensors; made by `@primitive`."""

    dispatch: Callable[[Primitive[Any], Sequence[Any], dict[str, Any]], Any]  # set by graph.py: a call with Tensors
    variable_type: type = type(None)  # set by graph.py: what counts as a Tensor

    def __init__(
        self,
        forward: Callable[Concatenate[Namespace, P], Any],
        name: str,
        *,
        broadcasts: bool,
        saves: bool,
    ) -> None:
        functools.update_wrapper(self, forward)
        parameters = list(inspect.signature(forward).parameters.values())[1:]
        hints = get_type_hints(forward, include_extras=True)
        self.__signature__ = inspect.Signature(parameters)
        self.name = name
        self.forward = forward
        self.broadcasts = broadcasts
        self.saves = saves
        self.saves_on_demand = saves and "saving" in inspect.signature(forward).parameters
        self.names = tuple(p.name for p in parameters)
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        self.operands = tuple(p.name for p in parameters if Array in (hints[p.name], *get_args(hints[p.name])))
        self.variadic = parameters[0].kind is inspect.Parameter.VAR_POSITIONAL
        self.positions = tuple(self.names.index(name) for name in self.operands)
        self.leading = self.positions == tuple(range(len(self.positions)))
        self.rules: dict[str, Rule] = {}
        self.joint: Rule | None = None  # instead of all others
        self.kernels: dict[str, Callable[..., Any]] = {}
        self._plans: dict[int, Plan] = {}

    def __repr__(self) -> str:
        """Name the primitive and its signature."""
        return f"<primitive {self.name}{self.__signature__}>"

    def __call__(self, *args: P.args, **options: P.kwargs) -> Any:
        """Run the forward on raw arrays; record it in the graph if an operand is a Tensor."""
        variable = Primitive.variable_type
        for value in args:
            if isinstance(value, variable):
                return Primitive.dispatch(self, args, options)
        if options and any(isinstance(value, variable) for value in options.values()):
            return Primitive.dispatch(self, args, options)
        arguments, options_left = self.arrange(args, options)
        if not any(is_array(operand) for operand in self.given(arguments)):
            arguments = self.as_arrays(arguments)
        self.check_operands(arguments)
        return self.compute(arguments, options_left)[0]

    def vjp(self, **rules: Callable[..., Any]) -> None:
        """Set the rule of each operand; names that the primitive does not have are an error right here."""
        for operand, function in rules.items():
            if operand not in self.operands:
                raise TypeError(f"{self.name}: the rule of {operand!r} names no operand; known are {self.operands}")
            if self.variadic:
                self.vjp_jointly(function)
            else:
                self._check_one_kind(self.joint)
                self.rules[operand] = self._rule(f"the rule of {operand!r}", function)

    def vjp_jointly(self, function: Callable[..., Sequence[Any]]) -> None:
        """Set one rule for all operands, instead of one for each; see the head of this file."""
        self._check_one_kind(self.rules)
        self.joint = self._rule("the joint rule", function, "wanted")

    def _check_one_kind(self, other: object) -> None:
        if other:
            raise TypeError(f"{self.name}: expected one joint rule or a rule for each operand, got both; leave one out")

    def _rule(self, what: str, function: Callable[..., Any], *more: str) -> Rule:
        known = {"g", "y", *self.names, *(f"{name}_shape" for name in self.operands), *(["saved"] * self.saves), *more}
        needs = tuple(inspect.signature(function).parameters)
        if not known.issuperset(needs):
            raise TypeError(f"{self.name}: {what} names {needs}; known are {sorted(known)}")
        return Rule(function, needs)

    @property
    def differentiable(self) -> bool:
        """Whether there is a rule for an operand at least."""
        return bool(self.rules or self.joint)

    def kernel(self, device: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a forward for one device, with the signature and the results of the plain one."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            self.kernels[device] = function
            return function

        return register

    def arrange(self, args: Sequence[Any], options: Mapping[str, Any]) -> tuple[list[Any], Mapping[str, Any]]:
        """Move operands that were given by name to their positions."""
        arguments = list(args)
        if options and not self.variadic and not options.keys().isdisjoint(self.operands):
            last = max(position for position in self.positions if self.names[position] in options)
            for name in self.names[len(arguments) : last + 1]:
                arguments.append(options[name] if name in options else self.defaults.get(name))
            options = {k: v for k, v in options.items() if k not in self.names[len(args) : last + 1]}
        return arguments, options

    def compute(self, arguments: Sequence[Any], options: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the output as an array, and what the forward saved for its rules (else None)."""
        operands = self.given(arguments)
        try:
            backend = backend_of(*operands)
        except CKNError as error:
            raise type(error)(f"{self.name}: {error}") from None
        try:
            forward = self.kernels.get(backend.device, self.forward) if self.kernels else self.forward
            y = forward(backend.xp, *arguments, **options)
        except (ValueError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
            raise self._explained(error, operands) from error
        y, saved = y if self.saves else (y, None)
        if not is_array(y):
            y = backend.xp.asarray(y)  # NumPy's reductions return scalars, CuPy's 0-d arrays
        if y.dtype.kind not in "fiub":
            self.check_operands(arguments)
            raise DTypeError(f"{self.name}: expected a result of real numbers, got {y.dtype}; look at the dtypes")
        return y, saved

    def check_operands(self, arguments: Sequence[Any]) -> None:
        """Raise a DTypeError if an operand is complex; Tensors never are."""
        operands = self.given(arguments)
        for i, operand in enumerate(operands):
            if hasattr(operand, "dtype") and operand.dtype.kind not in "fiub":
                check_real(self.name, self.label(i), operand)

    def label(self, number: int) -> str:
        """Name an operand for messages: `x`, or `arrays[2]`."""
        return f"{self.operands[0]}[{number}]" if self.variadic else self.operands[number]

    def given(self, arguments: Sequence[Any]) -> Sequence[Any]:
        """Return the operands among the arguments, in order; trailing ones may be left out."""
        if self.variadic or (self.leading and len(arguments) <= len(self.positions)):
            return arguments
        return [arguments[i] for i in self.positions if i < len(arguments)]

    def as_arrays(self, arguments: Sequence[Any]) -> list[Any]:
        """Make arrays of operands that are all numbers: with an array among them they would follow its dtype."""
        places = range(len(arguments)) if self.variadic else self.positions
        return [
            xp_of(a).asarray(a) if i in places and isinstance(a, int | float) else a for i, a in enumerate(arguments)
        ]

    def plan(self, wanted: int) -> Plan:
        """Return what to retain when the operands whose bits are set in `wanted` need a gradient."""
        if wanted not in self._plans:
            names = [name for bit, name in enumerate(self.operands) if wanted >> bit & 1]
            rules = [self.joint] if self.joint else [self.rules[name] for name in names]
            needs = {need for rule in rules for need in rule.needs}
            number = {name: (self.positions[i], i) for i, name in enumerate(self.operands)}
            self._plans[wanted] = Plan(
                operands=tuple((name, *number[name]) for name in self.operands if name in needs),
                shapes=tuple((f"{n}_shape", number[n][0]) for n in self.operands if f"{n}_shape" in needs),
                options=tuple(name for name in self.names if name in needs and name not in number),
                output="y" in needs,
                saved="saved" in needs,
            )
        return self._plans[wanted]

    def _explained(self, error: Exception, operands: Sequence[Any]) -> Exception:
        """Return an error that names the operation and its operands, of the kind of the one that came from below."""
        if isinstance(error, CKNError):
            return error
        got = ", ".join(f"{self.label(i)}: {_describe(operand)}" for i, operand in enumerate(operands))
        text = str(error).removeprefix(f"{self.name}: ").rstrip(". ")
        if "argument" in text and isinstance(error, TypeError):
            text += f"; the call is {self.name}{self.__signature__}"
        kinds = {ValueError: ShapeError, IndexError: OpIndexError}
        kind = next((mine for theirs, mine in kinds.items() if isinstance(error, theirs)), DTypeError)
        return kind(f"{self.name}: {text}; got {got}")


def _describe(operand: Any) -> str:
    if hasattr(operand, "dtype"):
        return f"{operand.dtype} array of shape {operand.shape}"
    return f"{type(operand).__name__} {operand!r}" if operand is not None else "None"


def primitive(
    *, name: str | None = None, broadcasts: bool = False, saves: bool = False
) -> Callable[[Callable[Concatenate[Namespace, P], Any]], Primitive[P]]:
    """Make a primitive of a pure function of raw arrays, and enter it in the registry under its name.

    Parameters
    ----------
    name
        Default: that of the function.
    broadcasts
        Operands are broadcast against each other; the engine sums their gradients back to their shapes.
    saves
        The forward returns (output, saved); see the head of this file.
    """

    def register(forward: Callable[Concatenate[Namespace, P], Any]) -> Primitive[P]:
        made = Primitive(forward, name or forward.__name__, broadcasts=broadcasts, saves=saves)
        if made.name in REGISTRY:
            raise ValueError(f"primitive {made.name!r} is registered already")
        REGISTRY[made.name] = made
        return made

    return register
