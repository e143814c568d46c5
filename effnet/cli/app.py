"""The commands put together, and what their failures look like."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from effnet import __version__
from effnet.cli.convert import convert
from effnet.cli.diff import diff
from effnet.cli.fetch import fetch
from effnet.cli.info import info
from effnet.cli.inspect import inspect
from effnet.cli.list import list_variants
from effnet.cli.parity import parity
from effnet.cli.predict import predict

ERROR = 2


class _Commands(TyperGroup):
    """The group of all commands: errors of the user's input become one message and exit code 2."""

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


def _application() -> typer.Typer:
    # Without rich's markup the start takes half the time.
    application = typer.Typer(
        name="effnet",
        cls=_Commands,
        callback=effnet,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, command in {
        "convert": convert,
        "inspect": inspect,
        "info": info,
        "list": list_variants,
        "fetch": fetch,
        "predict": predict,
        "parity": parity,
        "diff": diff,
    }.items():
        application.command(name)(command)
    return application


app = _application()


def main() -> None:
    """Run the command line."""
    app(prog_name="effnet")
