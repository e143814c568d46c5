"""Which network a checkpoint belongs to, found out from the names and shapes of its tensors."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from converters.candidates import Candidates, Shapes, Wish
from converters.cut_off import cut_off
from converters.errors import counted
from converters.recognition import Recognised
from effnet_core import (
    FAMILIES,
    VARIANTS,
    EffnetError,
    NetworkSpec,
    UnknownVariant,
    canonical_name,
    mismatch,
    parameters,
)

OWN_BLOCKS = (
    "A network whose blocks are a list of its own needs its definition: --spec FILE.json, in Python "
    "SourceOptions(spec=...)."
)
ADVICE = f"{mismatch.ADVICE} {OWN_BLOCKS}"
"""What to do where the tensors of a file do not fit a network."""


class UnknownArchitecture(EffnetError):
    """No network fits the tensors."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A network and the sentence that says how it was found."""

    spec: NetworkSpec
    note: str


def find_architecture(recognised: Recognised, shapes: Shapes, wish: Wish) -> Found:
    """The network that the tensors belong to; `shapes` are foreign, by variable name without prefix.

    A network named by the user is taken as it is; where none fits all tensors, the one that fits most is given, so
    that a comparison can show what differs. Raises `UnknownArchitecture` when nothing comes near, `UnknownVariant`
    and `InvalidSpec` for an impossible wish.
    """
    candidates = Candidates(recognised, shapes, wish)
    if wish.arch is not None:
        spec = candidates.build(wish.arch, width=wish.width, depth=wish.depth)
        return Found(spec=spec, note="The architecture is the one that you named.")
    hint = _variant_in(recognised.scope)
    tried: list[NetworkSpec] = []
    for spec in candidates.all(sorted(VARIANTS, key=lambda name: name != hint)):
        if candidates.fits(spec):
            return Found(spec=spec, note=_note(spec, hint))
        tried.append(spec)
    is_free = wish.width is None and wish.depth is None
    cut = cut_off(candidates, candidates.names) if is_free else None
    if cut is not None and cut.spec is not None:
        return Found(spec=cut.spec, note=cut.note)
    if cut is not None:
        raise UnknownArchitecture(cut.reason)
    if not tried and hint is not None:
        tried = [candidates.build(hint, width=wish.width, depth=wish.depth)]
    best = max(tried, key=candidates.score, default=None)
    if best is None or candidates.score(best) == 0:
        raise UnknownArchitecture(
            f"No variant has {_blocks(recognised)} of these shapes. Name the network, as in "
            f"--arch efficientnet-b0 --width 0.5 --depth 1.0. {OWN_BLOCKS} Variants: {', '.join(VARIANTS)}."
        )
    fitting, held = candidates.score(best), len(shapes)
    if is_free and 2 * fitting < max(held, len(parameters(best))):
        raise UnknownArchitecture(
            f"The tensors fit no EfficientNet: of {held}, the nearest ({best.name}, width {best.width:g}, depth "
            f"{best.depth:g}) has {fitting}. It is probably another architecture, or a part of a checkpoint, such as "
            "an incomplete set of moving averages. If it is an EfficientNet, name it, as in --arch efficientnet-b0, to "
            f"see every difference. {OWN_BLOCKS}"
        )
    return Found(spec=best, note=f"No variant fits all tensors; {best.name} fits most of them.")


def _blocks(recognised: Recognised) -> str:
    return "blocks" if recognised.num_blocks is None else counted(recognised.num_blocks, "block")


def _variant_in(scope: str) -> str | None:
    with suppress(UnknownVariant):
        return canonical_name(scope.rsplit("/", maxsplit=1)[-1])
    return None


def _note(spec: NetworkSpec, hint: str | None) -> str:
    variant = VARIANTS[spec.name]
    is_published = (spec.width, spec.depth) == (variant.width, variant.depth)
    custom = "" if is_published else f" with width {spec.width:g} and depth {spec.depth:g}"
    rule = "" if spec.rounding is FAMILIES[spec.family].rounding else ", channels rounded as the V2 code does"
    source = "names and shapes" if spec.name == hint else "shapes"
    return f"The architecture is {spec.name}{custom}{rule}, found from {source}."
