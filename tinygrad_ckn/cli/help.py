"""Help texts: plain text as wide as the terminal, options in groups."""

from __future__ import annotations

from typing import Any, TypeAlias

from typer.core import TyperCommand, TyperGroup

from tinygrad_ckn.cli.console import help_width

# Classes of Click, which typer moves from version to version.
Context: TypeAlias = Any
Formatter: TypeAlias = Any
# Groups of options that come after all others.
LAST = ("Computation", "Output", "Options")


class Command(TyperCommand):
    """A command whose help shows its options in groups."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Context | None = None, **extra: object
    ) -> Context:
        """Return the context of a call of the command."""
        return super().make_context(
            info_name, args, parent, **{"terminal_width": help_width()} | extra
        )

    def format_options(self, ctx: Context, formatter: Formatter) -> None:
        """Write the options and arguments."""
        _write_parameters(self, ctx, formatter)


class Group(TyperGroup):
    """A group of commands whose help shows its options in groups."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Context | None = None, **extra: object
    ) -> Context:
        """Return the context of a call of a command of the group."""
        return super().make_context(
            info_name, args, parent, **{"terminal_width": help_width()} | extra
        )

    def format_options(self, ctx: Context, formatter: Formatter) -> None:
        """Write the options, then the commands, each with its whole first sentence."""
        _write_parameters(self, ctx, formatter)
        commands: dict[str, Any] = {
            name: self.get_command(ctx, name) for name in self.list_commands(ctx)
        }
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(1000)) for name, command in commands.items()]
            )


def _write_parameters(command: Command | Group, ctx: Context, formatter: Formatter) -> None:
    """Write the parameters of a command under the titles of their `rich_help_panel`.

    Typer's own help shows a flag as `--flag <bool>`, and its boxes leave 28 columns of
    80 for what an option does.
    """
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        name, text = record
        kind = "Options"
        if parameter.param_type_name == "argument":
            kind = "Arguments"
            name = parameter.metavar or name
        sections.setdefault(getattr(parameter, "rich_help_panel", None) or kind, []).append(
            (name, text)
        )
    order = sorted(sections, key=lambda title: LAST.index(title) if title in LAST else -1)
    for title in order:
        with formatter.section(title):
            formatter.write_dl(sections[title], col_max=min(30, formatter.width // 3))
