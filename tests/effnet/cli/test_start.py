"""How long commands take to start, in seconds of the processor: those of the clock depend on what else runs."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LIMIT = 0.3
RUNS = 10


def processor_seconds(*arguments):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("list", "--checkpoints")])
def test_lists_are_quick(arguments):
    # A busy machine slows some of the runs.
    assert any(processor_seconds("-m", "effnet", *arguments) < LIMIT for _ in range(RUNS))


def test_what_takes_longer_is_seen():
    assert processor_seconds("-c", f"import time\nwhile time.process_time() < {LIMIT}: pass") >= LIMIT
