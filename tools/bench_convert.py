"""Time and memory of `effnet convert` on full-size official checkpoints, with the budgets beside the numbers.

    .venv/bin/python tools/bench_convert.py [--variants b0 b7 l2] [--json]

Needs what `./tools/test` sets up, and Linux. Times are the best of five with a warm page cache, next to `cp` of the
same data file in the same run; memory is explained in `bench/measure.py`. "The usual way" is TensorFlow's reader with
torch.save. Exits with 1 when a budget is missed. b7 takes 1.4 GB in the folder for temporary files, l2 10 GB.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.conversion import Bench
from bench.result import Result, table_of
from bench.start import version
from rich.console import Console

from effnet_core import canonical_name


def main() -> int:
    """Measure, print, and say whether every budget was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=["efficientnet-b0", "efficientnet-b7"], type=canonical_name)
    parser.add_argument("--json", action="store_true", help="print one JSON object per number")
    words = parser.parse_args()
    results: list[Result] = []
    for result in measured(words.variants):
        results.append(result)
        print(f"{result.variant} {result.what}: {result.value:.3f} {result.unit}".strip(), file=sys.stderr)
    if words.json:
        print(json.dumps([asdict(result) | {"missed": result.missed} for result in results], indent=1))
    else:
        Console().print(table_of(results, title="effnet convert"))
    return int(any(result.missed for result in results))


def measured(variants: Sequence[str]) -> Iterator[Result]:
    """Every number, one at a time."""
    start = version()
    yield start
    for variant in variants:
        with tempfile.TemporaryDirectory(prefix="effnet-bench-") as folder:
            yield from Bench(variant, Path(folder), start=start.value).results()


if __name__ == "__main__":
    sys.exit(main())
