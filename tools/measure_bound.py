"""Measure how far the two backends are apart, in units of what rounding explains: the numbers of docs/parity.md.

    .venv/bin/python tools/measure_bound.py [CHECKPOINT...]

Without checkpoints: those of tests/data/oracle, with their moving averages. For each, over several seeds and sizes: the
largest distance of a layer in float64 and in float32, in units of what rounding explains
(`effnet.parity_engine.compare.explained`), and the ratio of the backends' own distances.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import effnet
from effnet.backends import Network
from effnet.parity_engine.compare import FLOOR, ROUNDOFF32
from tests.oracle import FOLDERS, load

SETTINGS = ((64, 0), (65, 1), (96, 2))
"""Size of the random input in pixels, seed."""


def networks(checkpoints: Sequence[str]) -> list[Network]:
    """Those that are named, else the oracle's."""
    if checkpoints:
        return [effnet.load_network(path) for path in checkpoints]
    held = {name: load(name, ema=True) for name in FOLDERS}
    return [Network(spec=oracle.spec, state=oracle.state, name=name) for name, oracle in held.items()]


def main() -> int:
    """Print one line for each checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="*", metavar="CHECKPOINT", help="default: those of tests/data/oracle")
    arguments = parser.parse_args()
    print(f"{'checkpoint':45} {'float64':>9} {'float32':>9} {'own ratio':>10}  farthest layer")
    for network in networks(arguments.checkpoints):
        wide, narrow, ratio, where = 0.0, 0.0, 0.0, ""
        for size, seed in SETTINGS:
            inputs = effnet.RandomInput(size=size, seed=seed)
            report = effnet.parity(network, network, a_backend="tf", b_backend="torch", inputs=inputs)
            for layer in report.comparison.layers:
                small, large = sorted((layer.own_a.relative_l2, layer.own_b.relative_l2))
                factor = layer.float64.relative_l2 / layer.explained64
                if factor > wide:
                    wide, where = factor, f"{layer.name} at {size}"
                narrow = max(narrow, layer.float32.relative_l2 / layer.explained32)
                ratio = max(ratio, large / max(small, FLOOR * ROUNDOFF32))
        print(f"{network.name:45} {wide:9.2f} {narrow:9.2f} {ratio:10.2f}  {where}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
