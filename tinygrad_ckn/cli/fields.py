"""Command-line options made from the fields of dataclasses.

A field annotated `Annotated[int, "Images per step."]` is an option: `batch_size` becomes
`--batch-size`, with the string as its help, followed by the default of the field. A
second string is the title of its group in the help. Other fields are not options.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import MISSING, dataclass, fields
from types import NoneType
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

import typer

from tinygrad_ckn.data.reading import ByteCount

# Values of the options on the command line, by name of field.
Given: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class OptionsOf:
    """Stands in the annotation of a command's parameter for the options of a dataclass.

    Parameters
    ----------
    source
        The dataclass.
    group
        Title above its options in the help, unless a field names another.
    without
        Names of fields that are not options of this command.
    """

    source: type
    group: str
    without: Collection[str] = ()

    def options(self) -> Iterator[inspect.Parameter]:
        """Yield the option of each documented field as a parameter for typer."""
        hints = get_type_hints(self.source, include_extras=True)
        for field in fields(self.source):
            if get_origin(hints[field.name]) is Annotated and field.name not in self.without:
                kind, text, *groups = get_args(hints[field.name])
                yield _option(field.name, kind, field.default, text, *(groups or [self.group]))


def options_from_fields(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of the dataclasses that its parameters stand for.

    A parameter `Annotated[Given, OptionsOf(FineTuning, "Fine-tuning")]` receives the
    options on the command line as a dictionary, without the others.

    Examples
    --------
    >>> @dataclass
    ... class Baking:
    ...     oven_heat: Annotated[int, "Temperature in °C."] = 200
    >>> @options_from_fields
    ... def bake(*, baking: Annotated[Given, OptionsOf(Baking, "Oven")]) -> None:
    ...     print(baking)
    >>> list(inspect.signature(bake).parameters)
    ['oven_heat']
    >>> bake(oven_heat=180)
    {'oven_heat': 180}
    >>> bake()
    {}
    """
    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    names: dict[str, list[str]] = {}
    for parameter in signature.parameters.values():
        metadata = getattr(parameter.annotation, "__metadata__", ())
        sources = [source for source in metadata if isinstance(source, OptionsOf)]
        options = [option for source in sources for option in source.options()]
        parameters += options if sources else [parameter]
        names |= {parameter.name: [option.name for option in options]} if sources else {}

    @functools.wraps(command)
    def call(*arguments: object, **values: object) -> None:
        for parameter, of_parameter in names.items():
            given = {name: values.pop(name, None) for name in of_parameter}
            values[parameter] = {n: value for n, value in given.items() if value is not None}
        command(*arguments, **values)

    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def option_name(argument: str) -> str:
    """Return the option for an argument of the library.

    Examples
    --------
    >>> option_name("batch_size")
    '--batch-size'
    """
    return f"--{argument.replace('_', '-')}"


def with_option_names(message: str, options: Collection[str]) -> str:
    """Return a message with arguments of the library named as options.

    Examples
    --------
    >>> with_option_names("fit: argument n_patches expected an integer", ["n_patches"])
    'fit: --n-patches expected an integer'
    >>> with_option_names("say which with argument header", ["header"])
    'say which with --header or --no-header'
    """

    def named(match: re.Match[str]) -> str:
        which, argument = match.groups(default="")
        if argument not in options:
            return match[0]
        option = option_name(argument)
        return f"{which}{option} or {option_name(f'no_{argument}')}" if which else option

    return re.sub(r"\b(say which with )?argument (\w+)", named, message)


def _option(name: str, kind: Any, default: Any, text: str, group: str) -> inspect.Parameter:
    """Return the option for a field; its default is None."""
    is_path = os.PathLike[str] in get_args(kind)
    if NoneType in get_args(kind):
        kind = next(part for part in get_args(kind) if part is not NoneType)
    settings: dict[str, Any] = {"help": text, "rich_help_panel": group}
    flag = option_name(name)
    annotation: Any = kind
    if kind is bool:
        flag += f"/{option_name(_opposite(name))}"
    elif get_args(kind) == (int, int):
        settings["metavar"] = "H W"
    elif get_origin(kind) is tuple and Ellipsis in get_args(kind):
        annotation = Any
        settings |= {"parser": _integers, "metavar": "N,N"}
    elif get_origin(kind) is tuple:
        annotation = Any
        settings |= {"parser": _sizes, "metavar": "C,H,W"}
    elif kind is ByteCount:
        annotation = str
        settings["metavar"] = "SIZE"
    elif is_path:
        annotation = str
        settings["metavar"] = "PATH"
    elif kind not in (int, float):
        annotation = str
        choices = get_args(kind) if get_origin(kind) is Literal else ("NAME",)
        settings["metavar"] = "|".join(choices)
    if default not in (None, (), MISSING):
        shown = option_name(_opposite(name))[2:] if default is False else default
        settings["help"] += f"  [default: {shown}]"
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[annotation | None, typer.Option(flag, **settings)],
    )


def _opposite(name: str) -> str:
    """Return the name of the option that sets a flag to False: channels_first, no_header."""
    return name.replace("_last", "_first") if name.endswith("_last") else f"no_{name}"


def _sizes(text: str) -> tuple[int, ...]:
    """Return the sizes in a text, 3,32,32 or 3x32x32."""
    if not re.fullmatch(r"[0-9]+([x,][0-9]+){1,2}", text):
        raise typer.BadParameter(f"expected C,H,W or H,W, got {text!r}")
    return tuple(int(size) for size in re.split("[x,]", text))


def _integers(text: str) -> tuple[int, ...]:
    """Return the integers in a text, 1,2,3."""
    if not re.fullmatch(r"[0-9]+(,[0-9]+)*", text):
        raise typer.BadParameter(f"expected integers separated by commas, got {text!r}")
    return tuple(int(number) for number in text.split(","))
