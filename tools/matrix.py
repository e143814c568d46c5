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

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from converters import DIALECTS, FORMATS, WRITTEN_FORMATS, Dialect, OutputError, open_checkpoint, save_state
from converters.dialects import WRITTEN_DIALECTS
from converters.meaning import pixel_formula, understood
from converters.names.naming import Unnamed, table
from effnet_core import VARIANTS, Family, NetworkSpec, parameters, resolve
from tests.compared import COMPARED

BEGIN, END = "<!-- begin: tools/matrix.py -->", "<!-- end: tools/matrix.py -->"
YES, BY_RULE, NO = "yes", "by rule", "no"
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
    """A small network that the dialect has names for, as the dialect's own network is."""
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


def remarks() -> Iterable[str]:
    """What the dialects' own networks do only under some conditions, an item of a list each."""
    for name, dialect in DIALECTS.items():
        for remark in dict.fromkeys(row.remark for row in dialect.semantics if row.remark is not None):
            yield f"- `{name}`: {remark}"


def variant_rows() -> Iterable[Sequence[str]]:
    """For every variant, which dialects have names for all its tensors, and of which this is compared."""
    for variant in VARIANTS:
        yield (variant, *(naming_of(dialect, variant) for dialect in DIALECTS.values()))


def naming_of(dialect: Dialect, variant: str) -> str:
    """Whether the dialect has names for the variant, and whether tests compare them with its project's own.

    This project's own dialects are in no list: their networks are what the definition says.
    """
    if not names_variant(dialect, variant):
        return NO
    return YES if variant in COMPARED.get(dialect.name, VARIANTS) else BY_RULE


def format_rows() -> Iterable[Sequence[str]]:
    """For every dialect that is written, which formats hold it; each combination is written and read."""
    for name in WRITTEN_DIALECTS:
        dialect = DIALECTS[name]
        spec = narrow_network(dialect)
        yield (f"`{name}`", *(YES if writes(dialect, written, spec) else NO for written in WRITTEN_FORMATS))


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def document() -> str:
    """docs/matrix.md."""
    read_only = [f"`{name}` ({FORMATS[name].title})" for name in FORMATS if name not in WRITTEN_FORMATS]
    unwritten = [f"`{name}`, {row.title}" for name, row in DIALECTS.items() if not row.is_written]
    dialects = [f"`{name}`" for name in DIALECTS]
    meaning = ("dialect", "whose names", "families", "padding", "epsilon", "decay", "pixels are normalised by")
    return (
        "\n\n".join(
            (
                "# What the converter reads and writes",
                "Made by `.venv/bin/python tools/matrix.py` from the converter's own registries and the lists that the "
                "tests go through. Every dialect is tested with every family, and with every format, that it has here: "
                "a round trip gives every bit back.",
                "## Dialects, and what their own networks do",
                "Where the target's own network pads otherwise, or has another activation, stride, residual or "
                "pooling, a conversion is refused unless other logits are accepted (`--accept-different-logits`); "
                "another epsilon is made up for in the running variances; "
                "decay matters in training only. *As defined*: the network is built from the definition in the file.",
                markdown(meaning, dialect_rows()),
                "What depends on how such a network is made, as conversions say too:",
                "\n".join(remarks()),
                "## Networks by dialect",
                "*Yes*: a test compares names and shapes with the project's own code or files (those of `official`, "
                "`official-object` and `keras-order` are narrow networks; effnet's own names follow from the "
                "definition). *By rule*: the names follow from the rules of the dialect, and no test compares this "
                "network with the project's own. *No*: there are no names for it.",
                markdown(("network", *dialects), variant_rows()),
                "## Formats by dialect",
                "Read and written, with a narrow network. Formats that are only read: " + ", ".join(read_only) + ". "
                "Names that are only read: " + "; ".join(unwritten) + ".",
                markdown(("dialect", *(f"`{name}`" for name in WRITTEN_FORMATS)), format_rows()),
            )
        )
        + "\n"
    )


def summary() -> str:
    """The README's part."""
    written = (YES if row.is_written else NO for row in DIALECTS.values())
    told = zip(dialect_rows(), written, strict=True)
    rows = ((name, to, title, families) for (name, title, families, *_), to in told)
    return markdown(("`--from`", "`--to`", "whose names", "families"), rows)


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
