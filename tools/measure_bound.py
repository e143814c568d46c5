"""Measure how far the two backends are apart, in units of what rounding explains: the numbers of docs/parity.md.

    .venv/bin/python tools/measure_bound.py tests/data/oracle/efficientnet-b0 demo-output/lite0.safetensors

For each checkpoint, over several seeds and sizes: the largest distance of a layer in float64 and in float32, in units
of what rounding explains (`effnet.parity_engine.compare.explained`), and the ratio of the backends' own distances.
"""

from __future__ import annotations

import sys

import effnet
from effnet.parity_engine.compare import FLOOR, ROUNDOFF32

SETTINGS = ((64, 0), (65, 1), (96, 2))
"""Size of the random input in pixels, seed."""


def main() -> int:
    """Print one line for each checkpoint."""
    print(f"{'checkpoint':45} {'float64':>9} {'float32':>9} {'own ratio':>10}  farthest layer")
    for path in sys.argv[1:]:
        wide, narrow, ratio, where = 0.0, 0.0, 0.0, ""
        for size, seed in SETTINGS:
            inputs = effnet.RandomInput(size=size, seed=seed)
            report = effnet.parity(path, path, a_backend="tf", b_backend="torch", inputs=inputs)
            for layer in report.comparison.layers:
                small, large = sorted((layer.own_a.relative_l2, layer.own_b.relative_l2))
                factor = layer.float64.relative_l2 / layer.explained64
                if factor > wide:
                    wide, where = factor, f"{layer.name} at {size}"
                narrow = max(narrow, layer.float32.relative_l2 / layer.explained32)
                ratio = max(ratio, large / max(small, FLOOR * ROUNDOFF32))
        print(f"{path:45} {wide:9.2f} {narrow:9.2f} {ratio:10.2f}  {where}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
