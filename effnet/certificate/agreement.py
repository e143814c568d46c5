"""One thing that a certificate says, held against what is found now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from converters.errors import UnreadableFile
from effnet.certificate.measuring import file_digest, last_output, layer_outputs, relative
from effnet.certificate.schema import CertifiedLayer, CertifiedNetwork, FileDigest
from effnet.environment import Environment
from effnet.parity_engine.compare import LayerComparison, Outputs


class Outcome(StrEnum):
    """How a check came out."""

    SAME = "same"
    DIFFERENT = "different"
    NOT_CHECKED = "not checked"
    OTHER = "other, which is allowed"


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at, and how it came out."""

    subject: str
    outcome: Outcome
    detail: str
    """What is the same, or what was expected and what was found."""


def of_equality(subject: str, expected: object, found: object) -> Check:
    """Whether two values are equal."""
    if expected == found:
        return Check(subject=subject, outcome=Outcome.SAME, detail=str(found))
    return Check(subject=subject, outcome=Outcome.DIFFERENT, detail=f"expected {expected}, found {found}")


def of_files(side: str, recorded: Sequence[FileDigest], folder: Path) -> Iterator[Check]:
    """Whether the files of one side, named from a folder, hold the bytes that they held."""
    for one in recorded:
        subject, path = f"{side} file {one.path}", folder / one.path
        try:
            found = file_digest(path, folder=folder)
        except UnreadableFile as error:
            yield Check(subject=subject, outcome=Outcome.DIFFERENT, detail=str(error))
            continue
        if (found.size, found.sha256) == (one.size, one.sha256):
            yield Check(subject=subject, outcome=Outcome.SAME, detail=f"{one.size} bytes, SHA-256 {one.sha256}")
        else:
            detail = f"expected {one.size} bytes, SHA-256 {one.sha256}; found {found.size} bytes, {found.sha256}"
            yield Check(subject=subject, outcome=Outcome.DIFFERENT, detail=detail)


def of_all_files(side: str, recorded: Sequence[FileDigest], found: Sequence[Path], folder: Path) -> Iterator[Check]:
    """A check for every file that a side was read from and the certificate does not have."""
    known = {one.path for one in recorded}
    for file in found:
        path = relative(file, folder)
        if path not in known:
            detail = "belongs to it, and the certificate does not have it"
            yield Check(subject=f"{side} file {path}", outcome=Outcome.DIFFERENT, detail=detail)


def of_outputs(side: str, recorded: CertifiedNetwork, outputs: Outputs, *, limit: float) -> Check:
    """Whether a network gives what it gave in float64, to `limit`, as a part of a layer's largest value."""
    subject = f"{side} outputs"
    gaps = dict(_gaps(recorded, outputs))
    expected, found = [layer.name for layer in recorded.layers], list(outputs.float64)
    if expected != found:
        return Check(subject=subject, outcome=Outcome.DIFFERENT, detail=f"expected layers {expected}, found {found}")
    apart = [name for name, gap in gaps.items() if not gap <= limit]  # NaN is apart
    if not apart:
        worst = max(gaps.values())
        how = "to the last bit" if worst == 0 else f"to {worst:.1e} of the largest value, {limit:g} allowed"
        return Check(
            subject=subject,
            outcome=Outcome.SAME,
            detail=f"{len(recorded.layers)} layers and every number of {recorded.last.name} in float64, {how}",
        )
    first = apart[0]
    return Check(
        subject=subject,
        outcome=Outcome.DIFFERENT,
        detail=f"{len(apart)} of {len(gaps)} compared, the first {first}: {gaps[first]:.1e} of the largest value apart "
        f"in float64, {limit:g} allowed",
    )


def of_shapes(recorded: Sequence[CertifiedLayer], found: Sequence[LayerComparison]) -> Check:
    """Whether the same layers, of the same shapes, were compared."""
    before, now = ([f"{layer.name} {layer.shape}" for layer in layers] for layers in (recorded, found))
    if before == now:
        return Check(subject="layers", outcome=Outcome.SAME, detail=f"{len(now)} layers of the same shapes")
    odd = ", ".join(sorted(set(before) ^ set(now))) or "the same in another order"
    return Check(subject="layers", outcome=Outcome.DIFFERENT, detail=f"only recorded or only found: {odd}")


def of_environment(before: Environment, now: Environment) -> Iterator[Check]:
    """Versions and machine: a difference is allowed, and named."""
    pairs = [(name, getattr(before, name), getattr(now, name)) for name in ("effnet", "python", "platform", "cpu")]
    old, new = ({one.name: one.version for one in side.packages} for side in (before, now))
    pairs += [(name, old.get(name, "absent"), new.get(name, "absent")) for name in old]
    for name, expected, found in pairs:
        if expected == found:
            yield Check(subject=name, outcome=Outcome.SAME, detail=found)
        else:
            yield Check(subject=name, outcome=Outcome.OTHER, detail=f"{expected} then, {found} now")


def _gaps(recorded: CertifiedNetwork, outputs: Outputs) -> Iterator[tuple[str, float]]:
    """By layer, how far what is found is from what is recorded, as a part of the largest value."""
    for one, other in zip(recorded.layers, layer_outputs(outputs), strict=False):
        whole = max(one.largest or 0.0, other.largest or 0.0)
        yield (
            one.name,
            max(
                _gap([(one.largest, other.largest), (one.mean, other.mean)], whole),
                _gap([(one.norm, other.norm)], max(one.norm or 0.0, other.norm or 0.0)),
            ),
        )
    before, now = recorded.last, last_output(outputs)
    if [len(row) for row in before.values] != [len(row) for row in now.values]:
        yield f"every number of {before.name}", float("inf")
        return
    pairs = [pair for rows in zip(before.values, now.values, strict=True) for pair in zip(*rows, strict=True)]
    whole = max((abs(number) for pair in pairs for number in pair if number is not None), default=0.0)
    yield f"every number of {before.name}", _gap(pairs, whole)


def _gap(pairs: Iterable[tuple[float | None, float | None]], whole: float) -> float:
    """The largest difference as a part of `whole`; infinite where only one of a pair is finite."""
    gaps = [0.0]
    for a, b in pairs:
        if a is None or b is None:
            gaps.append(0.0 if a is b else float("inf"))
        elif a != b:
            gaps.append(abs(a - b) / whole if whole > 0 else float("inf"))
    return max(gaps)
