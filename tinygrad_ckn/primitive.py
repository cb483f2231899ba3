"""Primitives: a forward on raw arrays, and below it a rule per operand.

Tensor is not imported: `graph.py` sets `Primitive.dispatch` and `Primitive.variable_type`.

    @primitive(broadcasts=True)
    def multiply(xp, a: Array, b: Array) -> Array:
        return xp.multiply(a, b)

    multiply.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)

*Operands* are the parameters annotated `Array`; the others are static options. A rule
gets the gradient `g` of the output and returns that of its operand. Its parameter names
say what it needs, and so what is saved until then: `y` (the output), any operand, any
option, `options` (all of them, as one mapping), `<operand>_shape` (costs nothing), and
`saved`: what a forward declared with `saves=True` returned with its output, for a rule
to reuse. `saved` is None while the rule itself is differentiated. A forward for which
saving is not free has a keyword option `saving=False`, which is True if a rule will ask
for `saved`. Rules are written with public operations, which take arrays and Tensors alike,
so they can be differentiated again.

If the gradients of several operands share most of their work, one rule returns them
all, in a list in the order of the operands, with None where `needs_grad` (a bool per
operand) is False:

    fused.vjp_jointly(lambda g, x, z, saved, needs_grad: [...])

Primitives of any number of operands (`*arrays: Array`) always have such a rule, set by
`.vjp(arrays=...)` too.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, overload

from tinygrad_ckn import refusals
from tinygrad_ckn.backend import (
    CPU,
    Array,
    Backend,
    Namespace,
    backend_of,
    check_real,
    is_array,
    is_number,
)
from tinygrad_ckn.errors import CKNError
from tinygrad_ckn.hooks import HOOKS, call_hooked
from tinygrad_ckn.plain import PLAIN, plain
from tinygrad_ckn.plan import Plan, Rule, make_plan
from tinygrad_ckn.registry import REGISTRY, enter, registered
from tinygrad_ckn.signature import CallSignature

if TYPE_CHECKING:
    from tinygrad_ckn import Tensor

__all__ = ["REGISTRY", "Array", "Namespace", "Primitive", "primitive"]

P = ParamSpec("P")
_HOST: Any = CPU.array_type
_REAL = "fiub"


class Primitive(CallSignature, Generic[P]):
    """A differentiable operation: call it on arrays or Tensors; made by `@primitive`."""

    __slots__ = (
        "__dict__",
        "_plans",
        "broadcasts",
        "forward",
        "joint",
        "kernels",
        "rules",
        "saves",
        "takes_numbers",
    )
    # set by graph.py: a call with Tensors, and their type
    dispatch: Callable[..., Any]
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
        super().__init__(forward, name, (_HOST, Primitive.variable_type))
        self.forward = forward
        self.broadcasts = broadcasts
        self.saves = saves
        # Whether an operand may be a number beside arrays, as those of a sum may. Those of
        # einsum may not: its rules pass NumPy's scalars where axes are summed away.
        self.takes_numbers = broadcasts and not self.variadic
        self.rules: dict[str, Rule] = {}
        # one rule for all operands, instead of `rules`
        self.joint: Rule | None = None
        self.kernels: dict[str, Callable[..., Any]] = {}
        self._plans: dict[int, Plan] = {}

    def __repr__(self) -> str:
        """Name the primitive and its signature."""
        return f"<primitive {self.name}{self.__signature__}>"

    def __reduce__(self) -> Any:
        """Pickle by name: the primitive of that name in the module that defines it."""
        return registered, (self.__module__, self.name)

    def __copy__(self) -> Primitive[P]:
        """Return the primitive itself: there is one of each name."""
        return self

    def __deepcopy__(self, memo: object) -> Primitive[P]:
        """Return the primitive itself: there is one of each name."""
        return self

    def __call__(self, *args: P.args, **options: P.kwargs) -> Tensor:
        """Run the forward on raw arrays; record it in the graph if an operand is a Tensor."""
        operands: Any = args
        named: Any = options
        operand: Any
        if options or len(args) != self.count:
            operands, named = self.bind(args, options)
            if named:
                self._make_plain(named)
        # The first operand that is neither None nor an array in host memory decides.
        for operand in operands:
            if (type(operand) is _HOST and operand.dtype.kind in _REAL) or operand is None:
                continue
            if isinstance(operand, Primitive.variable_type):
                return Primitive.dispatch(self, operands, named)
            return self._call_mixed(operands, named)
        return self.compute(CPU, operands, named)[0]

    def _call_mixed(self, operands: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Run the forward where some operands are numbers or arrays of a GPU."""
        if any(isinstance(operand, Primitive.variable_type) for operand in operands):
            return Primitive.dispatch(self, operands, options)
        self._check_real(operands)
        # Numbers alone become arrays; next to an array they follow its dtype, NumPy's too.
        if any(map(is_array, operands)):
            if self.takes_numbers:
                operands = [plain(x) if is_number(x) else x for x in operands]
        else:
            operands = [CPU.xp.asarray(x) if isinstance(x, int | float) else x for x in operands]
        return self.compute(self.backend_of(operands), operands, options)[0]

    def _make_plain(self, options: dict[str, Any]) -> None:
        """Replace NumPy's scalars among the options by Python numbers; refuse Tensors."""
        for name, value in options.items():
            if type(value) not in PLAIN and name not in self.indices and not _is_shape(value):
                if isinstance(value, Primitive.variable_type):
                    raise refusals.tensor_option(self, name)
                options[name] = plain(value)

    def vjp(self, **rules: Callable[..., Any]) -> None:
        """Set the rule of each operand; unknown names are an error right here."""
        for operand, function in rules.items():
            if operand not in self.operands:
                raise refusals.unknown_operand(self, operand)
            if self.variadic:
                self.vjp_jointly(function)
                continue
            if self.joint:
                raise refusals.two_kinds_of_rules(self)
            self.rules[operand] = self._rule(f"the rule of {operand!r}", function)
        self._plans.clear()

    def vjp_jointly(self, function: Callable[..., Sequence[Any]]) -> None:
        """Set one rule for all operands, instead of one for each; see the head of this file."""
        if self.rules:
            raise refusals.two_kinds_of_rules(self)
        self.joint = self._rule("the joint rule", function, "needs_grad")
        self._plans.clear()

    def _rule(self, title: str, function: Callable[..., Any], *more: str) -> Rule:
        """Return a rule with the names it needs; other parameters keep their defaults."""
        engine = {"g", "y", "options", *more, *(f"{name}_shape" for name in self.operands)}
        engine |= {"saved"} if self.saves else set()
        known = {*engine, *self.operands, *self.options}
        parameters = inspect.signature(function).parameters.values()
        needs = tuple(p.name for p in parameters if p.default is p.empty or p.name in known)
        if not known.issuperset(needs):
            raise refusals.unknown_names(self, title, needs, known)
        for name in needs:
            if name in engine and name in {*self.operands, *self.options}:
                raise refusals.two_meanings(self, title, name)
        # What a rule needs is passed by position.
        if needs != tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)[: len(needs)]:
            raise refusals.order_of_parameters(self, title, needs)
        return Rule(function, needs)

    @property
    def differentiable(self) -> bool:
        """Whether at least one operand has a rule."""
        return bool(self.rules or self.joint)

    def kernel(self, device: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a forward for one device, with the signature and results of the plain one."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            self.kernels[device] = function
            return function

        return register

    def backend_of(self, operands: Sequence[Any]) -> Backend:
        """Return the backend of the operands.

        Raises
        ------
        BackendError
            If they are on two devices, naming the operands.
        DTypeError
            If one is not an array.
        """
        try:
            return backend_of(*operands)
        except CKNError as error:
            raise refusals.of_backends(self, error, operands) from None

    def compute(
        self, backend: Backend, operands: Sequence[Any], options: Mapping[str, Any]
    ) -> tuple[Any, Any]:
        """Return the output as an array, and what the forward saved for its rules (else None)."""
        forward: Callable[..., Any] = self.forward
        if self.kernels:
            forward = self.kernels.get(backend.device, forward)
        if HOOKS:
            forward = functools.partial(call_hooked, self.name, "forward", forward)
        try:
            if not options:
                y = forward(backend.xp, *operands)
            elif self.operands_first:
                y = forward(backend.xp, *operands, **options)
            else:
                named = dict(zip(self.operands, operands, strict=True))
                y = forward(backend.xp, **named, **options)
        except refusals.OF_FORWARDS as error:
            if isinstance(error, TypeError):
                self.check_call(operands, options)
            restated = refusals.of_forward(self, error, operands, options)
            if restated is error:
                raise
            raise restated from error
        saved = None
        if self.saves:
            y, saved = y
        if type(y) is not _HOST and not is_array(y):
            # NumPy's reductions return scalars, CuPy's 0-d arrays
            y = backend.xp.asarray(y)
        if y.dtype.kind not in _REAL:
            self._check_real(operands)
            raise refusals.complex_result(self, y.dtype)
        return y, saved

    def _check_real(self, operands: Sequence[Any]) -> None:
        """Raise a DTypeError if an operand is complex; Tensors never are."""
        for i, operand in enumerate(operands):
            if is_array(operand):
                check_real(self.name, self.label(i), operand)

    def plan(self, needs_grad: int, count: int) -> Plan:
        """Return the plan for `count` operands; bit i of `needs_grad`: operand i needs a gradient.

        Raises
        ------
        GradientError
            If one of them has no rule.
        """
        # The one rule of a variadic primitive returns all gradients, whichever are needed.
        key = count if self.variadic else needs_grad
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = make_plan(
                [self.joint] if self.joint else self._rules_of(needs_grad),
                self.operands,
                self.options,
                joint=self.joint is not None,
                count=count if self.variadic else None,
            )
        return plan

    def _rules_of(self, needs_grad: int) -> list[Rule | None]:
        chosen: list[Rule | None] = []
        for i, name in enumerate(self.operands):
            chosen.append(self.rules.get(name) if needs_grad >> i & 1 else None)
            if needs_grad >> i & 1 and chosen[i] is None:
                raise refusals.no_rule(self, name)
        return chosen


def _is_shape(value: Any) -> bool:
    """Return whether an option is empty or begins with an integer: nearly always a shape."""
    return type(value) is tuple and (not value or type(value[0]) is int)


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
    """Make a primitive of a pure function of raw arrays, and register it by name.

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
