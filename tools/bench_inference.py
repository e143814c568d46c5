"""How long one batch takes in every runtime, ours beside other implementations of the same network.

    .venv/bin/python tools/bench_inference.py [NETWORK] [--batches 1 8] [--rounds 12] [--threads N] [--only WORD ...]
        [--tf2onnx PYTHON] [--files FOLDER] [--document FILE] [--json]

Every runtime is a process of its own that stays alive; the contenders take turns, round after round, so that a machine
that becomes slower does so for all. `--tf2onnx` names a Python that has tensorflow and tf2onnx; without it that
contender is left out, and the others' libraries are those of `.venv-foreign`. `--files` keeps the network's files for
the next run. What is timed, and what the floor is, says docs/inference_speed.md, between whose marks
`--document docs/inference_speed.md` writes the tables. Exits with 1 where ours is slower than a peer of the same kind
by more than the spread, or logits disagree.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.inference import CONTENDERS, FOREIGN, TORCH, Contender
from bench.inference_processes import FOREIGN as FOREIGN_PYTHON
from bench.inference_processes import processes, write_files
from bench.inference_report import row, table, write
from bench.inference_rounds import Timing, timings
from rich.console import Console

from effnet_core import canonical_name, resolve


def main() -> int:
    """Measure, print, and say whether ours was behind anywhere."""
    words = _words()
    spec = resolve(words.network)
    side = spec.preprocessing.resolution
    contenders = _taking_part(words.only)
    runtimes = list(dict.fromkeys([TORCH, *(contender.runtime for contender in contenders)]))
    with tempfile.TemporaryDirectory(prefix="effnet-bench-") as name:
        folder = (words.files or Path(name)) / spec.name
        write_files(spec.name, folder, tf2onnx=words.tf2onnx)
        with processes(runtimes, network=spec.name, folder=folder, threads=words.threads, side=side) as started:
            found = list(timings(contenders, started, batches=words.batches, rounds=words.rounds))
    title = f"{spec.name} at {side}x{side}, {words.threads} threads, {_processor()}"
    if words.json:
        print(json.dumps([row(timing) for timing in found], indent=1))
    else:
        console = Console(width=max(Console().width, 120))
        for batch in words.batches:
            rows = [timing for timing in found if timing.batch == batch]
            console.print(table(rows, title=f"{title}, batch {batch}"))
    if words.document is not None:
        write(words.document, found, title=title)
    complaints = [*_behind(found), *_wrong(found)]
    print(*complaints, sep="\n", end="\n" * bool(complaints), file=sys.stderr)
    return int(bool(complaints))


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", default="efficientnet-b0", type=canonical_name)
    parser.add_argument("--batches", nargs="+", type=_positive, default=[1, 8])
    parser.add_argument("--rounds", type=_positive, default=12)
    parser.add_argument("--threads", type=_positive, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", nargs="+", default=[""], help="contenders whose name holds one of these words")
    parser.add_argument("--tf2onnx", type=Path, help="a Python that has tensorflow and tf2onnx")
    parser.add_argument("--files", type=Path, help="a folder that keeps the network's files for the next run")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each contender and batch")
    parser.add_argument("--document", type=Path, help="a document between whose marks the tables are written")
    return parser.parse_args()


def _positive(word: str) -> int:
    """For argparse, which turns the `ValueError` into its message."""
    if (number := int(word)) < 1:
        raise ValueError
    return number


def _processor() -> str:
    """As Linux names it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )


def _taking_part(only: Sequence[str]) -> list[Contender]:
    chosen = [contender for contender in CONTENDERS if any(word in contender.label for word in only)]
    if any(contender.runtime == FOREIGN for contender in chosen) and not FOREIGN_PYTHON.exists():
        print(f"{FOREIGN} does not take part: there is no {FOREIGN_PYTHON}", file=sys.stderr)
        return [contender for contender in chosen if contender.runtime != FOREIGN]
    return chosen


def _behind(found: Sequence[Timing]) -> Iterator[str]:
    """Where a peer is faster than ours of the same kind."""
    by_name = {(timing.contender.runtime, timing.contender.name, timing.batch): timing for timing in found}
    for peer in found:
        ours = by_name.get((peer.contender.runtime, peer.contender.beside or "", peer.batch))
        if ours is not None and ours.is_behind(peer):
            yield f"behind: {ours.contender.label} behind {peer.contender.name} at batch {ours.batch}"


def _wrong(found: Sequence[Timing]) -> Iterator[str]:
    for timing in found:
        if timing.is_wrong:
            yield f"wrong: {timing.contender.label} differs by {timing.distance:.0e} of the largest logit"


if __name__ == "__main__":
    sys.exit(main())
