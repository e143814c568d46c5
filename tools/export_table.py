"""How far exports are from the network in float64, a member of every family at full size, as a page.

    .venv/bin/python tools/export_table.py --out docs/export_table.md [NETWORK ...]

Weights are random and lively (`tests.lively.settled_state`). Every export is asked at the recipe's size and at an odd
one that is not square, two images at a time; a LiteRT model has one size. Takes
about half a minute an export; there are 48.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import effnet
from effnet import ExportOptions, Network
from effnet.choices import Backend
from effnet.environment import environment
from effnet.exports.options import ENDINGS, Kind
from effnet.frameworks import import_frameworks
from effnet_core import CondMBConv, resolve
from tests.lively import settled_state

NETWORKS = ("b0", "lite0", "edgetpu-S", "condconv-b0-4e", "v2-b0")
COLUMNS = ("network", "export", "folded", "checked by", "asked", "difference", "rounding alone")


def main() -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the page, Markdown")
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    arguments = parser.parse_args()
    import_frameworks(Backend)
    rows = [row for name in arguments.networks for row in rows_of(name)]
    arguments.out.write_text(page(rows), encoding="utf-8")
    return 0


def rows_of(name: str) -> list[tuple[str, ...]]:
    """The checks of every export of one network."""
    spec = resolve(name)
    network = Network(spec=spec, state=settled_state(spec), name=f"random weights of {spec.name}")
    conditional = any(isinstance(block, CondMBConv) for block in spec.blocks)
    rows: list[tuple[str, ...]] = []
    for kind in Kind:
        for fold in (False, True):
            if conditional and kind is Kind.TFLITE:
                continue
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder) / f"model{ENDINGS.get(kind, '')}"
                found = effnet.export(network, target, options=ExportOptions(kind=kind, fold=fold))
            rows += [
                (
                    spec.name,
                    kind.value,
                    "yes" if fold else "no",
                    check.reader,
                    check.question,
                    f"{check.difference:.1e}",
                    f"{check.rounding:.1e}",
                )
                for check in found.verification.checks
            ]
            print(*rows[-1], flush=True)
    return rows


def page(rows: Sequence[Sequence[str]]) -> str:
    """The document."""
    here = environment()
    lines = [
        "# Exports against float64",
        "",
        "Made by `.venv/bin/python tools/export_table.py --out docs/export_table.md`: a member of every family, full",
        "size, random weights. Difference: largest |a - b| as a part of the largest logit (of the probabilities where",
        "image files are asked about), b being the network in float64; rounding alone: the same of its own float32",
        "result. Both are those of another framework than the one that wrote the file.",
        "",
        f"The largest difference is {max(float(row[-2]) for row in rows):.1e}. Neither LiteRT nor OpenVINO runs",
        "CondConv networks, so that these have no rows there. [exports.md](exports.md) says how exports are judged.",
        "",
        f"{here.cpu}; Python {here.python}; "
        + ", ".join(f"{item.name} {item.version}" for item in here.packages)
        + ".",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + " --- |" * len(COLUMNS),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
