"""How long the command line and `effnet_core.resolve` take, beside a Python that does nothing.

Also from an official archive to the label of a photograph, in each backend, start-up included.

    .venv/bin/python tools/bench_start.py

Needs what `./tools/test` sets up. Times are the best of several runs, with everything in the page cache and compiled.
Where the machine's speed changes, the first rows tell how fast it was. Exits with 1 when a budget is missed.
"""

from __future__ import annotations

import argparse
import sys
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.prediction import predictions
from bench.result import table_of
from bench.start import commands, definitions
from rich.console import Console


def main() -> int:
    """Measure, print, and say whether every budget was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    with TemporaryDirectory() as folder:
        results = list(chain(commands(), predictions(Path(folder)), definitions()))
    Console().print(table_of(results, title="start of effnet"))
    return int(any(result.missed for result in results))


if __name__ == "__main__":
    sys.exit(main())
