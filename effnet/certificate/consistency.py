"""Whether what a certificate says fits together, before anything is run."""

from __future__ import annotations

from collections.abc import Iterator

from effnet.certificate.agreement import Check, Outcome
from effnet.certificate.certify import LIMIT_FLOAT32, LIMIT_FLOAT64
from effnet.certificate.schema import Certificate, CertifiedDistance, CertifiedLayer, CertifiedNetwork

_SHOWN = 3


def of_consistency(certificate: Certificate) -> Check:
    """Whether limits, layers, numbers and verdict of a certificate agree with each other."""
    found = list(_contradictions(certificate))
    if not found:
        detail = f"{len(certificate.layers)} layers, their numbers and the verdict fit together and to the fixed limits"
        return Check(subject="certificate", outcome=Outcome.SAME, detail=detail)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return Check(subject="certificate", outcome=Outcome.DIFFERENT, detail="; ".join(found[:_SHOWN]) + more)


def _contradictions(certificate: Certificate) -> Iterator[str]:
    limits = certificate.limit_float64, certificate.limit_float32
    if limits != (LIMIT_FLOAT64, LIMIT_FLOAT32):
        yield f"limits {limits[0]:g} and {limits[1]:g}, expected {LIMIT_FLOAT64:g} and {LIMIT_FLOAT32:g}"
    names = [layer.name for layer in certificate.layers]
    if not names or len(set(names)) < len(names):
        yield "no layers, or one of them twice"
    for side, network in (("source", certificate.source), ("result", certificate.result)):
        yield from _of_network(side, network, names)
    sides = [{layer.name: layer.largest for layer in side.layers} for side in (certificate.source, certificate.result)]
    if certificate.images != certificate.input.shape[0]:
        yield f"{certificate.images} images, and input of {certificate.input.shape[0]}"
    for layer in certificate.layers:
        yield from _of_layer(layer, [side.get(layer.name) for side in sides])
    differ = [layer.name for layer in certificate.layers if not layer.agrees]
    if (certificate.agrees, certificate.first_difference) != (not differ, next(iter(differ), None)):
        yield (
            f"agrees is {certificate.agrees} and first_difference {certificate.first_difference}, and the layers that "
            f"differ are {', '.join(differ) or 'none'}"
        )


def _of_network(side: str, network: CertifiedNetwork, names: list[str]) -> Iterator[str]:
    if not network.files:
        yield f"no files of the {side}"
    own = [layer.name for layer in network.layers]
    if own != names:
        odd = ", ".join(sorted(set(own) ^ set(names))) or "their order"
        yield f"other layers of the {side} than were compared: {odd}"
    if names and network.last.name != names[-1]:
        yield f"last output of the {side} is {network.last.name}, expected {names[-1]}"


def _of_layer(layer: CertifiedLayer, largest: list[float | None]) -> Iterator[str]:
    relatives = (layer.float64.relative, LIMIT_FLOAT64), (layer.float32.relative, LIMIT_FLOAT32)
    within = all(relative is not None and 0 <= relative <= limit for relative, limit in relatives)
    if within != layer.agrees:
        said = "agrees" if layer.agrees else "differs"
        yield f"{layer.name} {said}, at {_shown(relatives[0][0])} in float64 and {_shown(relatives[1][0])} in float32"
    numbers = [value for value in largest if value is not None]
    if len(numbers) < len(largest):
        if within:
            yield f"{layer.name} agrees, and a side gave numbers that are not finite, or none"
    elif layer.largest is None or not _close(layer.largest, max(numbers)):
        yield f"{layer.name} has the largest value {_shown(layer.largest)}, and its sides have {max(numbers):.1e}"
    for name in ("float64", "float32", "own_source", "own_result"):
        found: CertifiedDistance = getattr(layer, name)
        values = found.max_abs, found.relative, found.relative_l2
        if len({value is None for value in values}) > 1 or any(value is not None and value < 0 for value in values):
            yield f"{layer.name} has the distances {', '.join(map(_shown, values))} ({name}), which no arrays can have"
    apart, whole = layer.float64.max_abs, layer.largest
    if apart is not None and whole and relatives[0][0] is not None and not _close(apart / whole, relatives[0][0]):
        yield f"{layer.name} is {apart:.1e} of {whole:.1e} apart in float64, and not {relatives[0][0]:.1e} of it"


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-6 * max(abs(a), abs(b))


def _shown(value: float | None) -> str:
    return "no finite number" if value is None else f"{value:.1e}"
