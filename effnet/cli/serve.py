"""`effnet serve`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from effnet.cli.output import say

if TYPE_CHECKING:
    from effnet.serving.limits import Limits

_MEGABYTE = 2**20
_LIMITS = "Limits"
"""The heading of the options that bound size, number and time."""


class LogLevel(StrEnum):
    """From which level on events are written."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def serve(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="A model's directory with its versions, a folder of such, or one .onnx file."
        ),
    ],
    *,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")] = 8501,
    every_version: Annotated[
        bool, typer.Option("--every-version", help="Serve every version, not only the newest of each model.")
    ] = False,
    max_batch: Annotated[
        int, typer.Option(min=1, metavar="N", help="Images that the network sees at once.", rich_help_panel=_LIMITS)
    ] = 8,
    max_wait: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="MS", help="Milliseconds that an image waits at most for others.", rich_help_panel=_LIMITS
        ),
    ] = 5.0,
    queue: Annotated[
        int, typer.Option(min=1, metavar="N", help="Images of a model that wait; beyond, 503.", rich_help_panel=_LIMITS)
    ] = 256,
    max_requests: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Requests that are answered at once; beyond, 503.", rich_help_panel=_LIMITS
        ),
    ] = 64,
    max_connections: Annotated[
        int, typer.Option(min=1, metavar="N", help="Open connections; beyond, 503.", rich_help_panel=_LIMITS)
    ] = 1000,
    max_body: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="MB",
            help="Size of a request in megabytes of 2**20 bytes; beyond, 413.",
            rich_help_panel=_LIMITS,
        ),
    ] = 32,
    max_pixels: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Pixels of an image file, checked before decoding.", rich_help_panel=_LIMITS
        ),
    ] = 50_000_000,
    max_input_pixels: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Height times width of an image that is sent as numbers.", rich_help_panel=_LIMITS
        ),
    ] = 1024 * 1024,
    read_timeout: Annotated[
        float,
        typer.Option(
            min=0.1, metavar="SECONDS", help="Until a request must have arrived; beyond, 408.", rich_help_panel=_LIMITS
        ),
    ] = 30.0,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1, metavar="SECONDS", help="Until a request must be answered; beyond, 504.", rich_help_panel=_LIMITS
        ),
    ] = 30.0,
    threads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Threads of the network; by default all processors.")
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="Least level of the lines on standard error.")] = LogLevel.INFO,
) -> None:
    """Serve what `effnet export` wrote: TensorFlow Serving's REST calls, and a page for photographs at /.

    DIR holds SavedModels, which TensorFlow runs, or ONNX files, which ONNX Runtime runs; the newest version of each
    model is served. SIGTERM and Ctrl-C end the server after it has answered what it accepted. docs/serving.md has the
    calls, limits and metrics.

    \b
    Examples:
      effnet serve models/lite0
      effnet serve models --host 0.0.0.0 --port 8501 --max-batch 16
    """
    limits = _limits(
        max_batch=max_batch,
        max_wait=max_wait / 1e3,
        queue=queue,
        requests=max_requests,
        connections=max_connections,
        body=max_body * _MEGABYTE,
        bodies=8 * max_body * _MEGABYTE,
        pixels=max_pixels,
        input_pixels=max_input_pixels,
        read_timeout=read_timeout,
        answer_timeout=timeout,
    )
    from effnet.serving.logs import log, start_logging
    from effnet.serving.models import load_models
    from effnet.serving.server import end_on_signals, serve, take_address

    end_on_signals()
    start_logging(log_level)
    with take_address(host, port) as address:
        loaded = load_models(directory, limits=limits, every_version=every_version, threads=threads)
        for model in loaded:
            found = model.found
            log("loaded", model=found.name, version=found.version, backend=found.kind.value, path=str(found.path))

        def started(address: str) -> None:
            names = ", ".join(f"{model.found.name} {model.found.version} ({model.found.kind})" for model in loaded)
            say(f"Serving {names} at {address}")

        serve(loaded, address=address, limits=limits, started=started)


def _limits(**values: float) -> "Limits":
    """The limits. Raises `MissingFramework` where the libraries of the extra `serve` are not installed."""
    from importlib.util import find_spec

    from effnet.errors import MissingFramework, install_command
    from effnet.serving.limits import Limits

    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]
    if missing:
        raise MissingFramework(
            f"Serving needs {', '.join(missing)}. Install it, in the checkout: "
            f"{install_command('serve', 'images', 'onnx')} for ONNX models; tf-cpu (or tf, with a GPU) "
            "in place of onnx for SavedModels."
        )
    return Limits(**values)  # pyright: ignore[reportArgumentType]  # whole where the field is
