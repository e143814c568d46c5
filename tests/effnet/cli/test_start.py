"""How long commands take to start, in seconds of the processor: those of the clock depend on what else runs.

A slow machine is slow at everything, so the limit is a multiple of what the same machine takes to import the libraries
behind every command. On the machine of README.md's measurements the limit is 0.3 s.
"""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LIBRARIES = "import typer, rich.console, rich.table"
SHARE = 1.7
RUNS = 5


def processor_seconds(*arguments):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def is_quick(*arguments):
    """Whether the best of some runs stays within the limit; both sides run in turn, so that load meets both alike."""
    pairs = [(processor_seconds(*arguments), processor_seconds("-c", LIBRARIES)) for _ in range(RUNS)]
    own, libraries = map(min, zip(*pairs, strict=True))
    return own < SHARE * libraries


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("list", "--checkpoints")])
def test_lists_are_quick(arguments):
    assert is_quick("-m", "effnet", *arguments)


def test_what_loads_more_is_seen():
    assert not is_quick("-c", f"{LIBRARIES}, effnet.cli, numpy, h5py, asyncio, http.server")
