"""Write what the converter knows, from its own registries, into docs/matrix.md and the README.

    .venv/bin/python tools/matrix.py [--check]

`--check` writes nothing and exits with 1 when the documents are not what this would write.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from converters import DIALECTS, FORMATS, WRITTEN_FORMATS, Dialect, OutputError, open_checkpoint, save_state
from converters.meaning import pixel_formula, understood
from converters.names.naming import Unnamed, table
from effnet_core import VARIANTS, Family, NetworkSpec, parameters, resolve

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- begin: tools/matrix.py -->", "<!-- end: tools/matrix.py -->"
YES, NO = "yes", "no"
FAMILIES = {
    Family.V1: "V1",
    Family.LITE: "Lite",
    Family.EDGETPU: "EdgeTPU",
    Family.CONDCONV: "CondConv",
    Family.V2: "V2",
}


def names_variant(dialect: Dialect, variant: str) -> bool:
    """Whether the dialect has a name for every tensor of the variant."""
    return variant in _named(dialect.name)


@cache
def _named(dialect: str) -> frozenset[str]:
    """The variants that a dialect has names for; three tables ask."""
    return frozenset(variant for variant in VARIANTS if _has_names(DIALECTS[dialect], variant))


def _has_names(dialect: Dialect, variant: str) -> bool:
    try:
        table(dialect, resolve(variant), scope="")
    except Unnamed:
        return False
    return True


def narrow_network(dialect: Dialect) -> NetworkSpec:
    """A small network that the dialect has names for, padding and dividing as the dialect's own does.

    With fewer channels a first block of stride 1 would have a residual, which transformers does not give it.
    """
    variant = next(name for name in VARIANTS if names_variant(dialect, name))
    return understood(resolve(variant, width=0.38, depth=0.3, num_classes=10), dialect)


def writes(dialect: Dialect, format_name: str, spec: NetworkSpec) -> bool:
    """Whether a file of the format can hold the dialect's names: tried, and read back."""
    state = {item.name: np.ones(item.shape, np.float32) for item in parameters(spec)}
    with tempfile.TemporaryDirectory() as folder:
        suffixes = FORMATS[format_name].suffixes
        target = Path(folder) / f"model{suffixes[0] if suffixes else ''}"
        try:
            save_state(target, spec, state, to=dialect.name, to_format=format_name, sync=False)
        except (OutputError, Unnamed):
            return False
        with open_checkpoint(target) as checkpoint:
            return checkpoint.state().keys() == state.keys()


def dialect_rows() -> Iterable[Sequence[str]]:
    """Name, whose it is, families, padding, epsilon, decay and input of every dialect."""
    for name, dialect in DIALECTS.items():
        known = [variant for variant in VARIANTS if names_variant(dialect, variant)]
        families = [label for family, label in FAMILIES.items() if any(VARIANTS[v].family is family for v in known)]
        yield (
            f"`{name}`",
            dialect.title,
            ", ".join(families),
            *meaning_of(dialect, known),
        )


def meaning_of(dialect: Dialect, variants: Iterable[str]) -> tuple[str, str, str, str]:
    """Padding, epsilon, decay and input normalisation of the dialect's own networks."""
    rows = {row for variant in variants if (row := dialect.meaning(variant, VARIANTS[variant].family)) is not None}
    if not rows:
        return ("as defined",) * 3 + ("the caller's",)
    paddings = sorted({row.padding.value for row in rows})
    epsilons = sorted({f"{row.epsilon:g}" for row in rows})
    decays = sorted({"as defined" if row.decay is None else f"{row.decay:g}" for row in rows})
    inputs = sorted({"the caller's" if row.normalises is None else pixel_formula(row.normalises) for row in rows})
    if dialect.normalisation is not None:
        inputs = ["tensors of the file"]
    return ", ".join(paddings), ", ".join(epsilons), ", ".join(decays), "; ".join(inputs)


def variant_rows() -> Iterable[Sequence[str]]:
    """For every variant, which dialects have names for all its tensors."""
    for variant in VARIANTS:
        yield (variant, *(YES if names_variant(dialect, variant) else NO for dialect in DIALECTS.values()))


def format_rows() -> Iterable[Sequence[str]]:
    """For every dialect, which formats hold it; each combination is written and read."""
    for name, dialect in DIALECTS.items():
        spec = narrow_network(dialect)
        yield (f"`{name}`", *(YES if writes(dialect, written, spec) else NO for written in WRITTEN_FORMATS))


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def document() -> str:
    """docs/matrix.md."""
    read_only = [f"`{name}` ({FORMATS[name].title})" for name in FORMATS if name not in WRITTEN_FORMATS]
    dialects = [f"`{name}`" for name in DIALECTS]
    meaning = ("dialect", "whose names", "families", "padding", "epsilon", "decay", "pixels are normalised by")
    return (
        "\n\n".join(
            (
                "# What the converter reads and writes",
                "Made by `.venv/bin/python tools/matrix.py` from the converter's own registries. Every combination is "
                "tested: names and shapes, and a round trip that gives every bit back.",
                "## Dialects, and what their own networks do",
                "Between dialects whose networks pad differently a conversion is refused unless other logits are "
                "accepted (`--accept-different-logits`); another epsilon is made up for in the running variances; "
                "decay matters in training only. *As defined*: the network is built from the definition in the file.",
                markdown(meaning, dialect_rows()),
                "## Networks by dialect",
                "A dialect has a name for every tensor of the network. Where the project itself has the network, names "
                "and shapes are compared with its own code; others, such as B8 of keras.applications and V2-B0 of "
                "torchvision, are named by its rules.",
                markdown(("network", *dialects), variant_rows()),
                "## Formats by dialect",
                "Read and written, with a narrow network. Formats that are only read: " + ", ".join(read_only) + ". "
                "Names by order (`keras-order`) are those of `.weights.h5` files that hold no names of layers: such "
                "files are read, and written with names.",
                markdown(("dialect", *(f"`{name}`" for name in WRITTEN_FORMATS)), format_rows()),
            )
        )
        + "\n"
    )


def summary() -> str:
    """The README's part."""
    rows = ((name, title, families) for name, title, families, *_ in dialect_rows())
    return markdown(("`--from`, `--to`", "whose names", "families"), rows)


def with_summary(readme: str) -> str:
    """The README with the part between the marks replaced."""
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n{summary()}\n{END}{rest.split(END)[1]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write both documents, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; say which documents are out of date")
    check = parser.parse_args(arguments).check
    readme = ROOT / "README.md"
    stale: list[str] = []
    for path, text in ((ROOT / "docs" / "matrix.md", document()), (readme, with_summary(readme.read_text("utf-8")))):
        if path.exists() and path.read_text("utf-8") == text:
            continue
        stale.append(path.name)
        if not check:
            path.write_text(text, "utf-8")
    if stale:
        print(f"{'Out of date' if check else 'Written'}: {', '.join(stale)}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
