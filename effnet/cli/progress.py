"""Progress bars on standard error, only where a person sees them."""

from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def byte_progress(title: str, *, visible: bool = True) -> Generator[Callable[[int, int | None], None] | None]:
    """A bar to be told the bytes done and the bytes in all, None where these are not known."""
    import sys

    if not visible or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn(title), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def spinner(title: str, *, visible: bool = True) -> Generator[None]:
    """A moving sign for work whose end is not known."""
    import sys

    if not visible or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(title):
        yield
