"""What travels inside an export: the definition, the names of the classes, where the weights are from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effnet import __version__
from effnet.backends import Network
from effnet.errors import InputError
from effnet.exports.options import ExportOptions
from effnet.files import reason_of
from effnet.labels import label
from effnet_core import NetworkSpec, to_json

SPEC, LABELS, CARD = "effnet.json", "labels.txt", "card.json"
"""Names of the texts."""
_TOP = 5
_MAX_LABELS = 10_000_000
"""Bytes of a file with labels."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The texts of one export."""

    spec: str
    """JSON of the definition."""
    labels: tuple[str, ...]
    """A name for each class; its index where it has none."""
    named: bool
    """Whether the labels are names."""
    top: int
    """How many of the most probable classes are named."""
    card: Mapping[str, Any]
    answers_files: bool
    """Whether image files can be classified: a classifier behind RGB."""
    notes: tuple[str, ...]

    def texts(self) -> dict[str, str]:
        """Every text by its name."""
        found = {SPEC: self.spec, CARD: json.dumps(self.card)}
        if self.named:
            found[LABELS] = "\n".join(self.labels) + "\n"
        return found

    def write(self, folder: Path) -> list[Path]:
        """The texts as files."""
        for name, text in self.texts().items():
            (folder / name).write_text(text, encoding="utf-8")
        return [folder / name for name in self.texts()]


def contents_of(network: Network, spec: NetworkSpec, options: ExportOptions) -> Contents:
    """What an export of `network` carries, written as `spec` says. Raises `InputError` for labels that do not fit."""
    from converters.comparing.digests import state_digest

    classifier = network.spec.classifier
    classes = 0 if classifier is None else classifier.num_classes
    offset = 0 if classifier is None else classifier.label_offset
    if options.labels is None:
        found = [label(index, num_classes=classes, label_offset=offset) for index in range(classes)]
    else:
        found = _read_labels(options.labels, classes)
    named = bool(found) and None not in found
    answers = classes > 0 and network.spec.stem.in_channels == 3
    top = min(_TOP, classes) if options.top is None else options.top
    if answers and not 1 <= top <= classes:
        raise InputError(f"The {top} most probable classes are asked for; expected 1 to {classes}.")
    notes = (
        [] if named or not answers else ["The classes have no known names: their numbers stand for them (--labels)."]
    )
    return Contents(
        spec=to_json(spec),
        labels=tuple(str(index) if name is None else name for index, name in enumerate(found)),
        named=named,
        top=top,
        card={
            "effnet": __version__,
            "source": Path(network.name).name,
            "digest": state_digest(network.state).value,
            "folded": spec.norm is None,
            "top": top,
            "runtime": options.kind.value,
        },
        answers_files=answers,
        notes=tuple(notes),
    )


def _read_labels(path: Path, classes: int) -> list[str | None]:
    try:
        if path.stat().st_size > _MAX_LABELS:
            raise InputError(f"{path} has more than {_MAX_LABELS:,} bytes; expected a text file with one name a line.")
        names = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as labels, one name a line in UTF-8: {reason_of(error)}.") from None
    filled = sum(bool(name.strip()) for name in names)
    if not len(names) == classes == filled:
        raise InputError(
            f"{path} has {filled} names in {len(names)} lines; expected {classes}, one for each class in the order of "
            "the logits, and no empty line."
        )
    return list(names)
