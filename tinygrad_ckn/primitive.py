"""Primitives: a forward on raw arrays, and beside it a rule per operand. Knows no Tensor.

    @primitive(broadcasts=True)
    def multiply(xp, a: Array, b: Array) -> Array:
        return xp.multiply(a, b)

    multiply.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)

*Operands* are the parameters annotated `Array`; the others are static options. A rule
gets the gradient `g` of the output and returns that of its operand. Its parameter names
say what it needs, and so what is retained until then: `y` (the output), any operand,
any option, `<operand>_shape` (costs nothing), and `saved`: what a forward declared with
`saves=True` returned beside its output, for a rule to reuse. `saved` is None while the
rule itself is differentiated. A forward to which saving is not free has a keyword
option `saving=False`, which is True where a rule will ask for it. Rules are written
with public operations, which take arrays and Tensors alike, so they can be
differentiated again.

Where the gradients of several operands share most of their work, one rule returns them
all, in a list in the order of the operands, with None where `wanted` (a bool for each
operand) says that nobody asks:

    fused.vjp_jointly(lambda g, x, z, saved, wanted: [...])

Primitives of any number of operands (`*arrays: Array`) have such a rule always.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NamedTuple, ParamSpec, overload

from tinygrad_ckn.backend import (
    CPU,
    Array,
    Backend,
    Namespace,
    backend_of,
    check_real,
    is_array,
    xp_of,
)
from tinygrad_ckn.errors import (
    BackendError,
    CKNError,
    DTypeError,
    GradientError,
    OpIndexError,
    ShapeError,
)
from tinygrad_ckn.plain import PLAIN, plain
from tinygrad_ckn.registry import REGISTRY, enter, registered
from tinygrad_ckn.signature import operands_of

if TYPE_CHECKING:
    from tinygrad_ckn import Tensor

__all__ = ["REGISTRY", "Array", "Namespace", "Plan", "Primitive", "Rule", "primitive"]

P = ParamSpec("P")
_HOST: Any = CPU.array_type
_REAL = "fiub"


class Rule(NamedTuple):
    """A vector-Jacobian product, and the names of what it needs."""

    function: Callable[..., Any]
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to retain for a given set of operands that need a gradient, and how to call their rules with it.

    What is retained is one tuple. Each rule comes with what picks its arguments from
    (g, *retained, wanted).
    """

    names: tuple[
        str, ...
    ]  # of what is retained: first operands, then shapes and options, then y, then saved
    operands: tuple[
        tuple[str, int], ...
    ]  # name, number among the operands; of a variadic primitive all as one tuple
    others: tuple[
        tuple[str, int], ...
    ]  # a shape's name with the operand's number, an option's with -1
    output: bool
    saved: bool
    rules: tuple[
        tuple[Callable[..., Any], Callable[[Any], tuple[Any, ...]]] | None, ...
    ]  # of each operand
    # the one rule returns all gradients
    joint: bool
    reads: (
        tuple[int, ...] | None
    )  # numbers of the operands that the rules read, by themselves or in saved; None: all


class Primitive(Generic[P]):
    """A differentiable operation: call it on arrays or Tensors; made by `@primitive`."""

    __slots__ = (
        *(
            "__dict__",
            "__signature__",
            "_plans",
            "broadcasts",
            "defaults",
            "forward",
            "joint",
            "kernels",
            "leading",
        ),
        *(
            "most",
            "name",
            "names",
            "operands",
            "positional",
            "rules",
            "saves",
            "saves_on_demand",
            "variadic",
        ),
    )
    dispatch: Callable[
        [Primitive[Any], Sequence[Any], Mapping[str, Any]], Any
    ]  # set by graph.py: a call with Tensors
    # set by graph.py: what counts as a Tensor
    variable_type: type = type(None)

    def __init__(
        self,
        forward: Callable[Concatenate[Namespace, P], Any],
        name: str,
        *,
        broadcasts: bool,
        saves: bool,
    ) -> None:
        functools.update_wrapper(self, forward)
        parameters = list(inspect.signature(forward).parameters.values())
        self.operands = operands_of(forward, name, (_HOST, Primitive.variable_type))
        del parameters[0]
        self.__signature__ = inspect.Signature(parameters)
        self.name = name
        self.forward = forward
        self.broadcasts = broadcasts
        self.saves = saves
        self.saves_on_demand = "saving" in inspect.signature(forward).parameters
        self.names = tuple(p.name for p in parameters)
        self.positional = tuple(
            p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY
        )
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        self.variadic = parameters[0].kind is inspect.Parameter.VAR_POSITIONAL
        leading = sum(1 for _ in itertools.takewhile(self.operands.__contains__, self.positional))
        self.most = (
            sys.maxsize if self.variadic else leading
        )  # so many arguments by position are operands
        self.leading = leading == len(self.operands)
        self.rules: dict[str, Rule] = {}
        # instead of all others
        self.joint: Rule | None = None
        self.kernels: dict[str, Callable[..., Any]] = {}
        self._plans: dict[int, Plan] = {}

    def __repr__(self) -> str:
        """Name the primitive and its signature."""
        return f"<primitive {self.name}{self.__signature__}>"

    def __reduce__(self) -> Any:
        """Pickle by name: what comes back is the primitive of that name, looked up in the module that defines it."""
        return registered, (self.__module__, self.name)

    def __copy__(self) -> Primitive[P]:
        """Return the primitive itself: there is one of each name."""
        return self

    def __deepcopy__(self, memo: object) -> Primitive[P]:
        """Return the primitive itself: there is one of each name."""
        return self

    def __call__(self, *args: P.args, **options: P.kwargs) -> Tensor:
        """Run the forward on raw arrays; record it in the graph if an operand is a Tensor."""
        variable = Primitive.variable_type
        operands: Sequence[Any] = args
        named: dict[str, Any] = options
        if options or len(args) > self.most:
            operands, named = self.arrange(args, options)
            for name, value in named.items():
                if type(value) in PLAIN or _is_shape(value):
                    continue
                if isinstance(value, variable):
                    return Primitive.dispatch(self, operands, named)
                if name != "index":
                    named[name] = plain(value)
        for operand in operands:
            if type(operand) is _HOST and operand.dtype.kind in _REAL:
                continue
            if isinstance(operand, variable) or any(
                isinstance(value, variable) for value in operands
            ):
                return Primitive.dispatch(self, operands, named)
            self._refuse_complex(operands)
            if not any(map(is_array, operands)):
                # with an array among them they would follow its dtype
                operands = [
                    xp_of(a).asarray(a) if isinstance(a, int | float) else a for a in operands
                ]
            return self.compute(self.backend_of(operands), operands, named)[0]
        return self.compute(CPU, operands, named)[0]

    def vjp(self, **rules: Callable[..., Any]) -> None:
        """Set the rule of each operand; names that the primitive does not have are an error right here."""
        self._plans.clear()
        for operand, function in rules.items():
            if operand not in self.operands:
                raise DTypeError(
                    f"{self.name}: the rule of {operand!r} names no operand; known are {self.operands}"
                )
            if self.variadic:
                self.vjp_jointly(function)
            else:
                self._check_one_kind(self.joint)
                self.rules[operand] = self._rule(f"the rule of {operand!r}", function)

    def vjp_jointly(self, function: Callable[..., Sequence[Any]]) -> None:
        """Set one rule for all operands, instead of one for each; see the head of this file."""
        self._plans.clear()
        self._check_one_kind(self.rules)
        self.joint = self._rule("the joint rule", function, "wanted")

    def _check_one_kind(self, other: object) -> None:
        if other:
            raise DTypeError(
                f"{self.name}: expected one joint rule or a rule for each operand, got both; leave one out"
            )

    def _rule(self, what: str, function: Callable[..., Any], *more: str) -> Rule:
        known = {
            "g",
            "y",
            *self.names,
            *(f"{name}_shape" for name in self.operands),
            *(["saved"] * self.saves),
            *more,
        }
        parameters = inspect.signature(function).parameters
        needs = tuple(
            name for name, p in parameters.items() if p.default is p.empty or name in known
        )
        if not known.issuperset(needs):
            raise DTypeError(f"{self.name}: {what} names {needs}; known are {sorted(known)}")
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

    def arrange(
        self, args: Sequence[Any], options: Mapping[str, Any]
    ) -> tuple[Sequence[Any], dict[str, Any]]:
        """Tell operands and options apart, however they were passed; operands at the end may be left out."""
        if self.variadic:
            return args, dict(options)
        if len(args) <= self.most and options.keys().isdisjoint(self.operands):
            return args, dict(options)
        named = dict(zip(self.positional, args, strict=False))
        if len(args) > len(self.positional) or not named.keys().isdisjoint(options):
            self._refuse(args, options)
        named.update(options)
        given = max((i for i, name in enumerate(self.operands) if name in named), default=-1) + 1
        operands = [named.pop(name, self.defaults.get(name)) for name in self.operands[:given]]
        return operands, named

    def backend_of(self, operands: Sequence[Any]) -> Backend:
        """Return the backend that the operands are of.

        Raises
        ------
        BackendError
            If they are of two; which operands these are is told.
        DTypeError
            If one is no array.
        """
        try:
            return backend_of(*operands)
        except BackendError as error:
            arrays = [i for i, operand in enumerate(operands) if is_array(operand)]
            devices = [backend_of(operands[i]).device for i in arrays]
            other = next(
                i for i, device in zip(arrays, devices, strict=True) if device != devices[0]
            )
            raise BackendError(
                f"{self.name}: arguments {self.label(arrays[0])} and {self.label(other)}: {error}"
            ) from None
        except CKNError as error:
            raise type(error)(f"{self.name}: {error}") from None

    def compute(
        self, backend: Backend, operands: Sequence[Any], options: Mapping[str, Any]
    ) -> tuple[Any, Any]:
        """Return the output as an array, and what the forward saved for its rules (else None)."""
        try:
            forward: Callable[..., Any] = self.forward
            if self.kernels:
                forward = self.kernels.get(backend.device, forward)
            if not options:
                y = forward(backend.xp, *operands)
            elif self.leading:
                y = forward(backend.xp, *operands, **options)
            else:
                y = forward(
                    backend.xp, **dict(zip(self.operands, operands, strict=False)), **options
                )
        except (ValueError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
            raise self._explained(error, operands) from error
        saved = None
        if self.saves:
            y, saved = y
        if not is_array(y):
            # NumPy's reductions return scalars, CuPy's 0-d arrays
            y = backend.xp.asarray(y)
        if y.dtype.kind not in _REAL:
            self._refuse_complex(operands)
            raise DTypeError(
                f"{self.name}: expected a result of real numbers, got {y.dtype}; look at the dtypes"
            )
        return y, saved

    def _refuse_complex(self, operands: Sequence[Any]) -> None:
        """Raise a DTypeError if an operand is complex; Tensors never are."""
        for i, operand in enumerate(operands):
            if is_array(operand):
                check_real(self.name, self.label(i), operand)

    def label(self, number: int) -> str:
        """Name an operand for messages: `x`, or `arrays[2]`."""
        return f"{self.operands[0]}[{number}]" if self.variadic else self.operands[number]

    def plan(self, wanted: int) -> Plan:
        """Return what to retain, and how to call the rules, when the operands whose bits are set need a gradient.

        Raises
        ------
        GradientError
            If one of them has no rule.
        """
        key = 1 if self.variadic else wanted
        if key not in self._plans:
            self._plans[key] = self._make_plan(key)
        return self._plans[key]

    def _make_plan(self, wanted: int) -> Plan:
        asked = [name if wanted >> bit & 1 else None for bit, name in enumerate(self.operands)]
        for name in asked:
            if name is not None and self.joint is None and name not in self.rules:
                raise GradientError(
                    f"{self.name}: argument {name} has no derivative, but got a tensor that requires grad; "
                    "pass it as .detach()"
                )
        rules = (
            [self.joint]
            if self.joint
            else [None if name is None else self.rules[name] for name in asked]
        )
        needs = {need for rule in rules if rule for need in rule.needs}
        operands = [(name, i) for i, name in enumerate(self.operands)]
        kept = tuple((name, i) for name, i in operands if name in needs)
        others = [(f"{name}_shape", i) for name, i in operands if f"{name}_shape" in needs]
        others += [(name, -1) for name in self.names if name in needs and name not in self.operands]
        last = [name for name in ("y", "saved") if name in needs]
        names = (*(name for name, _ in (*kept, *others)), *last)
        place = {name: i for i, name in enumerate(("g", *names, "wanted"))}
        return Plan(
            names=names,
            operands=kept,
            others=tuple(others),
            output="y" in needs,
            saved="saved" in needs,
            rules=tuple(
                rule and (rule.function, _picker([place[need] for need in rule.needs]))
                for rule in rules
            ),
            joint=self.joint is not None,
            reads=None
            if (self.variadic and kept) or "saved" in needs
            else tuple(i for _, i in kept),
        )

    def _refuse(self, args: Sequence[Any], options: Mapping[str, Any]) -> None:
        """Raise the error of a call with too many arguments, or one given twice, as Python words it."""
        try:
            self.__signature__.bind(*args, **options)
        except TypeError as error:
            raise self._explained(error, args[: len(self.operands)]) from error

    def _explained(self, error: Exception, operands: Sequence[Any]) -> Exception:
        """Return an error that names the operation and its operands, of the kind of the one that came from below."""
        if isinstance(error, CKNError):
            return error
        got = ", ".join(
            f"{self.label(i)}: {_describe(operand)}" for i, operand in enumerate(operands)
        )
        text = str(error).removeprefix(f"{self.name}: ").rstrip(". ")
        if "argument" in text and isinstance(error, TypeError):
            text += f"; the call is {self.name}{self.__signature__}"
        kinds = {ValueError: ShapeError, IndexError: OpIndexError}
        kind = next(
            (mine for theirs, mine in kinds.items() if isinstance(error, theirs)), DTypeError
        )
        return kind(f"{self.name}: {text}; got {got}")


def _is_shape(value: Any) -> bool:
    """Tell whether an option is a tuple that begins with an integer: the most frequent kind, and plain already."""
    return type(value) is tuple and (not value or type(value[0]) is int)


def _picker(places: Sequence[int]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what takes the elements at these places from a tuple, as a tuple."""
    if len(places) > 1:
        return operator.itemgetter(*places)
    return operator.itemgetter(slice(places[0], places[0] + 1) if places else slice(0))


def _describe(operand: Any) -> str:
    if hasattr(operand, "dtype"):
        return f"{operand.dtype} array of shape {operand.shape}"
    return f"{type(operand).__name__} {operand!r}" if operand is not None else "None"


@overload
def primitive(forward: Callable[Concatenate[Namespace, P], Any], /) -> Primitive[P]: ...
@overload
def primitive(
    *, name: str | None = None, broadcasts: bool = False, saves: bool = False
) -> Callable[[Callable[Concatenate[Namespace, P], Any]], Primitive[P]]: ...
def primitive(
    forward: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    broadcasts: bool = False,
    saves: bool = False,
) -> Any:
    """Make a primitive of a pure function of raw arrays, and enter it in the registry under its name.

    A definition replaces an earlier one of the same module and name, as when a
    notebook's cell runs again.

    Parameters
    ----------
    forward
        The function, where it is decorated by `@primitive` without options. Its first
        parameter is the array namespace `xp`, its operands are those annotated `Array`,
        `numpy.ndarray` or `Tensor`.
    name
        Default: that of the function.
    broadcasts
        Operands are broadcast against each other; the engine sums their gradients back
        to their shapes.
    saves
        The forward returns (output, saved); see the head of this file.

    Raises
    ------
    DTypeError
        If the function takes no namespace first, or no operand.
    ConfigError
        If a primitive of another module has the name.
    """

    def register(forward: Callable[..., Any]) -> Primitive[Any]:
        made: Primitive[Any] = Primitive(
            forward, name or forward.__name__, broadcasts=broadcasts, saves=saves
        )
        enter(made)
        return made

    return register if forward is None else register(forward)
