"""What makes the start of a command short."""

import os
from collections.abc import Callable
from importlib import import_module
from typing import TypeVar

T = TypeVar("T")

_ROOM = 20_000
"""Values that a frame may hold, 160 kB. Its piece is the next power of two, 256 kB: the rest is for other frames."""
_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
"""Where OpenBLAS looks for how many threads to start, the first one first."""


def with_room(work: Callable[[], T]) -> T:
    """Call a function with memory for some hundreds of calls inside each other.

    CPython keeps the frames of calls in pieces of 16 kB, and gives a piece back to the system when the first frame in
    it returns. Where a loop, or a module that is imported, makes its calls at the end of a piece, each of them fetches
    a new one from the system: the import of NumPy took a fifth longer. A frame that may hold many values gets a larger
    piece, in which there is room for those that follow it.
    """
    return _roomy(work)


def _roomy(work: Callable[[], T]) -> T:
    return work()


_roomy.__code__ = _roomy.__code__.replace(co_stacksize=_ROOM)


def import_numpy_without_threads() -> None:
    """Import NumPy, for work without linear algebra: its library's threads would wait at the expense of a core.

    Nothing changes where NumPy is there already, or where the environment says how many threads there are to be.
    """
    if not os.environ.keys().isdisjoint(_BLAS_THREADS):
        import_module("numpy")
        return
    os.environ[_BLAS_THREADS[0]] = "1"
    try:
        import_module("numpy")
    finally:
        del os.environ[_BLAS_THREADS[0]]
