"""Progress bars on standard error, only where a person sees them."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any


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


@contextmanager
def image_progress(title: str, *, visible: bool = True) -> Generator[Callable[[int, int], None] | None]:
    """A bar to be told the images done and the images in all, with images a second and the time that is left."""
    import sys

    if not visible or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Images a second."""

        def render(self, task: Any) -> Text:
            return Text("" if task.speed is None else f"{task.speed:.1f} images/s", style="progress.data.speed")

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
