"""Module: a plain class whose Tensors are found by walking through its attributes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Self

from tinygrad_ckn.backend import Array, NDArray, asarray, use
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.grad_mode import is_evaluating
from tinygrad_ckn.nn.parameter import Parameter
from tinygrad_ckn.nn.state_dict import checked_state
from tinygrad_ckn.notebook import html_table
from tinygrad_ckn.tensor import Tensor


class Module(ABC):
    """A function with parameters.

    Subclass it, assign attributes as in any class, and write `forward`. Every Tensor
    among the attributes, or in lists, tuples, dicts and Modules there, belongs to the
    module, under a dotted name such as "layers.0.weight". Parameters are trained; other
    Tensors are buffers, which are only saved and moved. A Tensor or Module that occurs
    twice counts once, under its first name.

    Examples
    --------
    >>> class Scale(Module):
    ...     def __init__(self) -> None:
    ...         self.factor = Parameter([2.0, 3.0])
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(Tensor([1.0, 1.0])).tolist()
    [2.0, 3.0]
    >>> Scale()
    Scale  factor (2,)  2
    """

    @property
    def training(self) -> bool:
        """Whether the module computes as in training.

        False in eval mode, and while a model encodes or predicts.
        """
        return bool(self.__dict__.get("training", True)) and not is_evaluating.get()

    @training.setter
    def training(self, mode: bool) -> None:
        vars(self)["training"] = bool(mode)

    @abstractmethod
    def forward(self, *args: Any, **options: Any) -> Tensor:
        """Return the module's result; calling the module calls this."""

    def __call__(self, *args: Any, **options: Any) -> Tensor:
        """Return `forward(*args, **options)`."""
        return self.forward(*args, **options)

    def _members(self) -> Mapping[str, Any]:
        """Return the attributes to search, by name."""
        return vars(self)

    def _children(self) -> Iterator[tuple[str, Tensor | Module]]:
        """Yield the Tensors and Modules directly below, by name, with repetitions."""
        for name, value in self._members().items():
            yield from _search(name, value)

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Tensor | Module]]:
        """Yield everything below that is not in `seen`, in insertion order, by dotted name."""
        for name, child in self._children():
            if id(child) not in seen:
                seen.add(id(child))
                yield prefix + name, child
                if isinstance(child, Module):
                    yield from child._walk(f"{prefix}{name}.", seen)

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each parameter and buffer once, with its name."""
        return (
            (name, child) for name, child in self._walk("", {id(self)}) if isinstance(child, Tensor)
        )

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield each parameter once, with its name."""
        return (
            (name, tensor) for name, tensor in self.named_tensors() if isinstance(tensor, Parameter)
        )

    def parameters(self) -> Iterator[Parameter]:
        """Yield each parameter once."""
        return (parameter for _, parameter in self.named_parameters())

    def modules(self) -> Iterator[Module]:
        """Yield this module and each one below it once."""
        yield self
        yield from (child for _, child in self._walk("", {id(self)}) if isinstance(child, Module))

    def _state(self) -> dict[str, Tensor]:
        """Return all parameters and buffers by name; raise if two share a name."""
        tensors: dict[str, Tensor] = {}
        for name, tensor in self.named_tensors():
            if name in tensors:
                raise ConfigError(
                    f"{type(self).__name__}: expected a name of its own for each tensor, "
                    f"got two named {name!r}; rename a dictionary key"
                )
            tensors[name] = tensor
        return tensors

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return copies of all parameters and buffers as NumPy arrays, by name.

        Raises
        ------
        ConfigError
            If two tensors share a name, as from the keys "a.b" and "a" -> "b" of nested
            dicts.

        Examples
        --------
        >>> from tinygrad_ckn.nn import Linear
        >>> {name: array.shape for name, array in Linear(3, 2, rng=0).state_dict().items()}
        {'weight': (2, 3), 'bias': (2,)}
        """
        return {name: tensor.numpy().copy() for name, tensor in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Array], *, strict: bool = True) -> None:
        """Copy values into the parameters and buffers of the same names.

        On an error nothing is copied.

        Parameters
        ----------
        state
            Arrays by name, as from `state_dict`, of the shapes and dtypes of the
            module's tensors.
        strict
            Whether missing and unexpected names are an error (default); otherwise they
            are ignored.

        Raises
        ------
        DataError
            If a shape or dtype differs or, when strict, a name is missing or
            unexpected; all of these are listed.
        DTypeError
            If the state is not a mapping.
        """
        tensors = self._state()
        current = {name: tensor.data for name, tensor in tensors.items()}
        arrays = checked_state(type(self).__name__, current, state, strict=strict)
        for name, array in arrays.items():
            tensors[name].set_data(array)

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and in all modules below; return self."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set `training` to False here and in all modules below; return self."""
        return self.train(False)

    def to(self, device: str) -> Self:
        """Move all parameters, buffers and gradients to a device, in place; return self.

        Create optimisers afterwards: they hold arrays on the device of the parameters.

        Parameters
        ----------
        device
            "cpu" or "cuda".

        Raises
        ------
        BackendError
            If the device is unknown or not available; nothing is moved then.
        """
        use(device)
        moved = [
            (
                tensor,
                asarray(tensor.data, device=device),
                None if tensor.grad is None else tensor.grad.data,
            )
            for _, tensor in self.named_tensors()
            if tensor.device != device
        ]
        for tensor, data, gradient in moved:
            # Assigning `tensor.data` would keep the tensor on its device.
            tensor._data = data
            tensor._version[0] += 1
            tensor.grad = None if gradient is None else Tensor(gradient, device=device)
        return self

    def zero_grad(self) -> None:
        """Set the `grad` of each tensor to None."""
        for _, tensor in self.named_tensors():
            tensor.grad = None

    def extra_repr(self) -> str:
        """Return the options of this module to show in its `repr`."""
        return ""

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows: each parameter and buffer."""
        rows = [
            (name, str(t.shape), str(t.dtype), t.size if isinstance(t, Parameter) else "buffer")
            for name, t in self.named_tensors()
        ]
        total = sum(parameter.size for parameter in self.parameters())
        title = f"{type(self).__name__}, {total:,} parameters, {self.extra_repr()}".rstrip(", ")
        return html_table(title, ["name", "shape", "dtype", "parameters"], rows)

    def __repr__(self) -> str:
        """Return the tree of modules with options, parameter shapes and counts."""
        return "\n".join(_tree(self, "", set()))


def _search(name: str, value: Any) -> Iterator[tuple[str, Tensor | Module]]:
    """Yield the Tensors and Modules in a value or nested containers, by dotted name."""
    if isinstance(value, Tensor | Module):
        yield name, value
    elif isinstance(value, dict | list | tuple):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _search(f"{name}.{key}", item)


def _tree(module: Module, label: str, seen: set[int]) -> list[str]:
    """Return the lines of `repr`: the module, then those below it, indented."""
    options = module.extra_repr()
    line = label + type(module).__name__ + (f"({options})" if options else "")
    if id(module) in seen:
        return [f"{line}  shared"]
    seen.add(id(module))
    children = list(module._children())
    tensors = [(name, child) for name, child in children if isinstance(child, Tensor)]
    modules = [(name, child) for name, child in children if isinstance(child, Module)]
    if modules:
        total = sum(parameter.size for parameter in module.parameters())
        line += f" ({total:,} parameter{'' if total == 1 else 's'})"
    if tensors:
        shapes = [
            f"{name} {t.shape}" + ("" if isinstance(t, Parameter) else " buffer")
            for name, t in tensors
        ]
        count = sum(
            t.size for t in {id(t): t for _, t in tensors if isinstance(t, Parameter)}.values()
        )
        line += f"  {' '.join(shapes)}" + (f"  {count:,}" if count else "")
    return [
        line,
        *(f"  {row}" for name, child in modules for row in _tree(child, f"{name}: ", seen)),
    ]
