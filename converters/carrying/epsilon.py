"""Making up for another batch-norm epsilon, and undoing it.

A norm divides by sqrt(variance + epsilon). Where the target's epsilon is fixed, variance' = variance + shift with shift
= epsilon - epsilon' gives the same quotient. Rounding would make the way back inexact, so the original variances travel
in the file's metadata, and are taken again where they still explain the file's variances.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np

from converters.checkpoint import Source
from converters.errors import FormatError
from converters.formats.around import ReaderAround
from converters.formats.base import Array, Reader
from effnet_core import EffnetError, NetworkSpec, Parameter, Role

SHIFTED_KEY = "effnet.variances"
"""The metadata entry with the epsilon and the running variances from before they were shifted."""
_LIMIT = 256 << 20
"""Bytes of variances; those of the largest network have less than 3 MB."""


class EpsilonCannotBeMadeUpFor(EffnetError):
    """A running variance would not stay above zero."""


class MadeUp(NamedTuple):
    """What is done about another epsilon."""

    shift: float
    """Added to every running variance."""
    kept: str | None
    """The metadata entry that undoes it."""
    note: str


def has_network_epsilon(parameter: Parameter) -> bool:
    """True for the variances of all norms but those of hidden layers, which have an epsilon of their own."""
    return parameter.role is Role.VARIANCE and parameter.hidden is None


def make_up(
    variances: Mapping[str, Array], *, epsilon: float, target: float, title: str, accept_different_logits: bool
) -> MadeUp:
    """Decide about running variances, by canonical name, of a network with `epsilon` for one with the epsilon `target`.

    Raises `EpsilonCannotBeMadeUpFor` when a variance would not stay above zero, unless other logits are accepted.
    """
    shift = epsilon - target
    differs = f"Batch-norm epsilon differs: {epsilon:g} here, {target:g} in {title}."
    least = min((float(array.min()) for array in variances.values() if array.size), default=1.0)
    if least + shift > 0:
        return MadeUp(
            shift=shift,
            kept=_entry(variances, epsilon=epsilon),
            note=f"{differs} Added {shift:.6g} to every running variance, so that the norms divide as before; the "
            "metadata keeps the original variances (where the format has any).",
        )
    if not accept_different_logits:
        raise EpsilonCannotBeMadeUpFor(
            f"{differs} The smallest running variance is {least:g}: taking {-shift:.6g} from it leaves none. Convert "
            "to effnet-torch or native, which keep the epsilon of the source, or pass --accept-different-logits "
            "(accept_different_logits=True), which leaves the variances as they are."
        )
    return MadeUp(
        shift=0.0,
        kept=None,
        note=f"{differs} The variances are too small to make up for it (the least is {least:g}) and stay as they are: "
        "the logits will differ, as you accepted.",
    )


def shifted(variance: Array, shift: float) -> Array:
    """The variance in the target's terms, of the same type."""
    return (variance.astype(np.float64) + shift).astype(variance.dtype)


def _entry(variances: Mapping[str, Array], *, epsilon: float) -> str:
    """The metadata entry: epsilon and variances by canonical name, before the shift."""
    import base64  # noqa: PLC0415 - few conversions change the epsilon

    lengths = {name: array.size for name, array in variances.items()}
    data = b"".join(np.ascontiguousarray(array).tobytes() for array in variances.values())
    document = {
        "epsilon": epsilon,
        "dtype": next((array.dtype.name for array in variances.values()), "float32"),
        "lengths": lengths,
        "zlib": base64.b64encode(zlib.compress(data)).decode(),
    }
    return json.dumps(document, separators=(",", ":"))


def read_originals(reader: Reader) -> tuple[float, dict[str, Array]] | None:
    """Epsilon and variances by canonical name from before the shift; None where none are kept.

    Raises `FormatError` for an entry that no conversion can have written.
    """
    text = reader.metadata.get(SHIFTED_KEY)
    if text is None:
        return None
    import base64  # noqa: PLC0415 - as above

    try:
        document = cast("dict[str, Any]", json.loads(text))
        dtype = np.dtype(str(document["dtype"]))
        lengths = {str(name): int(length) for name, length in document["lengths"].items()}
        count = sum(lengths.values())
        if dtype.kind != "f" or min(lengths.values(), default=0) < 0 or count * dtype.itemsize > _LIMIT:
            raise ValueError("no variances")
        unpacked = zlib.decompressobj()
        data = unpacked.decompress(base64.b64decode(document["zlib"], validate=True), count * dtype.itemsize + 1)
        if len(data) != count * dtype.itemsize:
            raise ValueError("another number of variances")
        parts = np.split(np.frombuffer(data, dtype), np.cumsum(list(lengths.values()))[:-1])
        return float(document["epsilon"]), dict(zip(lengths, parts, strict=True))
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, zlib.error) as error:
        raise FormatError(
            f"{reader.path}: the metadata entry {SHIFTED_KEY} is damaged ({error}); expected what effnet writes there. "
            "Convert the original file again."
        ) from None


class RestoringReader(ReaderAround):
    """Another reader, some of whose arrays are replaced by those from before a conversion shifted them."""

    def __init__(self, reader: Reader, arrays: Mapping[str, Array]) -> None:
        super().__init__(reader)
        self._arrays = dict(arrays)

    def held(self, name: str) -> str | None:
        """The same; None for one that is replaced."""
        return None if name in self._arrays else name

    def made(self, name: str) -> Array:
        """The array, as it was before the shift."""
        return self._arrays[name]


class Restored(NamedTuple):
    """A reader and a definition with the variances and the epsilon from before a shift, where there was one."""

    reader: Reader
    spec: NetworkSpec
    note: str | None = None


def restore(reader: Reader, spec: NetworkSpec, sources: Sequence[Source]) -> Restored:
    """Undo the shift that the file's metadata tells of; `sources` say where the file holds the tensors of `spec`.

    Variances that were changed since, by training say, stay as they are. Raises `FormatError` for damaged metadata.
    """
    kept = read_originals(reader)
    if kept is None or spec.norm is None:
        return Restored(reader=reader, spec=spec)
    epsilon, variances = kept
    norm = spec.norm
    shift = epsilon - norm.epsilon
    arrays: dict[str, Array] = {}
    for source in sources:
        if has_network_epsilon(source.entry.parameter):
            original = variances.get(source.entry.parameter.name)
            found = reader.read(source.name)
            if original is None or not _explains(found, original, shift):
                note = f"The variances were changed since {shift:.6g} was added; took them as they are."
                return Restored(reader=reader, spec=spec, note=note)
            arrays[source.name] = original
    return Restored(
        reader=RestoringReader(reader, arrays),
        spec=replace(spec, norm=replace(norm, epsilon=epsilon)),
        note=f"Took the running variances from before {shift:.6g} was added, with their epsilon {epsilon:g}.",
    )


def _explains(found: Array, original: Array, shift: float) -> bool:
    return (
        found.shape == original.shape
        and found.dtype == original.dtype
        and shifted(original, shift).tobytes() == found.tobytes()
    )
