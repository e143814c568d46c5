"""The commands put together, and what their failures look like."""

import gc
from importlib import import_module
from inspect import cleandoc
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from effnet import __version__
from effnet.cli.start import with_room

ERROR = 2

_COMMANDS = {
    "convert": "convert",
    "inspect": "inspect",
    "info": "info",
    "list": "list_variants",
    "fetch": "fetch",
    "predict": "predict",
    "evaluate": "evaluate",
    "export": "export",
    "serve": "serve",
    "parity": "parity",
    "diff": "diff",
    "verify": "verify",
    "conformance": "conformance",
}
"""Names of the commands and of their functions, each in the module of the command's name."""

_SETTINGS: dict[str, Any] = {
    # Without rich's markup the start takes half the time.
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "add_completion": False,
}


class _Command(TyperCommand):
    """A command whose help has its options under headings."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        # Typer knows the headings (`rich_help_panel`), but shows them only with rich's markup.
        sections: dict[str, list[Any]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is not None:
                usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or usual, []).append(row)
        sections["Other options"] = sections.pop("Options")
        if len(sections) == 2:
            sections["Options"] = sections.pop("Other options")
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class _Commands(TyperGroup):
    """The group of all commands: errors of the user's input become one message and exit code 2.

    A command is imported when it is asked for, so that no command waits for the options of the others.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # Where there is no such command, typer names those of the loaded ones that are near.
        for name in (cmd_name,) if cmd_name in _COMMANDS else _COMMANDS:
            if name not in self.commands:
                self.add_command(_command(name))
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        # Their options, which are not shown, take as long to put together as everything else.
        named: dict[str, Any] = {name: TyperCommand(name, help=cleandoc(_function(name).__doc__)) for name in _COMMANDS}
        TyperGroup(commands=named).format_commands(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            from effnet_core import EffnetError

            if not isinstance(error, EffnetError):
                raise
            typer.echo(f"effnet: {_printable(str(error))}", err=True)
            raise typer.Exit(ERROR) from None


def _printable(text: str) -> str:
    """The text without control characters, which the names in a file may contain."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"effnet {__version__}")
        raise typer.Exit


def effnet(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """EfficientNet checkpoints for TensorFlow and PyTorch: convert, inspect, run and compare them.

    \b
    An official TensorFlow checkpoint for PyTorch:
      effnet convert efficientnet-b0/model.ckpt efficientnet-b0.pth
    """


def _command(name: str) -> Any:
    application = typer.Typer(**_SETTINGS)
    application.command(name, cls=_Command)(_function(name))
    return typer.main.get_command(application)


def _function(name: str) -> Any:
    return getattr(import_module(f"effnet.cli.{name}"), _COMMANDS[name])


app = typer.Typer(
    name="effnet",
    cls=_Commands,
    callback=effnet,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    **_SETTINGS,
)


def main() -> None:
    """Run the command line."""
    try:
        with_room(lambda: app(prog_name="effnet"))
    finally:
        # Before it ends, the interpreter would look for garbage among all objects: a twentieth of a conversion's time.
        gc.freeze()
