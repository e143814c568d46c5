"""Which network a checkpoint belongs to, found out from the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from converters.errors import UnknownArchitecture, counted
from converters.names.matching import Recognised
from converters.networks.candidates import Candidates, Shapes
from converters.networks.cut_off import cut_off
from converters.networks.wish import OWN_BLOCKS, Wish
from converters.options import EmaUnavailable
from effnet_core import (
    FAMILIES,
    VARIANTS,
    NetworkSpec,
    UnknownVariant,
    canonical_name,
)

_HALF = 0.5
"""The share of tensors that must fit a network for its differences to be worth a list."""
_NEARLY = 0.75
"""The same for a network of more or fewer blocks than the file has names of."""


class Found(NamedTuple):
    """A network and the sentence that says how it was found."""

    spec: NetworkSpec
    note: str


def find_architecture(recognised: Recognised, shapes: Shapes, wish: Wish, *, only_averages: bool = False) -> Found:
    """The network that the tensors belong to; `shapes` are foreign, by variable name without prefix.

    A network named by the user is taken as it is; where none fits all tensors, the one that fits most is given, so
    that a comparison can show what differs. `only_averages`: the file has moving averages and no variables.

    Raises `UnknownArchitecture` when nothing comes near, `EmaUnavailable` for the averages of the first layers alone,
    `UnknownVariant` and `InvalidSpec` for an impossible wish.
    """
    candidates = Candidates(recognised, shapes, wish)
    if wish.arch is not None:
        spec = candidates.build(wish.arch, width=wish.width, depth=wish.depth)
        return Found(spec=spec, note="The architecture is the one that you named.")
    hint = _variant_in(recognised.scope)
    tried: list[NetworkSpec] = []
    order = sorted(candidates.names, key=lambda name: name != hint)
    for spec in candidates.all(order):
        if candidates.fits(spec):
            return Found(spec=spec, note=_note(spec, hint))
        tried.append(spec)
    is_free = wish.width is None and wish.depth is None
    cut = cut_off(candidates, candidates.names) if is_free else None
    if cut is not None and only_averages:
        raise EmaUnavailable(cut.half_averages)
    if cut is not None and cut.spec is not None:
        return Found(spec=cut.spec, note=cut.note)
    if cut is not None:
        raise UnknownArchitecture(cut.reason)
    # With coefficients that the user has said, those that fit them are what is meant.
    others = list(_of_other_depth(candidates, order, recognised, shapes, wish)) if is_free else []
    if not tried and not is_free and hint is not None:
        tried = [candidates.build(hint, width=wish.width, depth=wish.depth)]
    best = max([*tried, *others], key=candidates.likeness, default=None)
    wanted = _HALF if best in tried else _NEARLY
    if best is None or candidates.score(best) == 0:
        raise UnknownArchitecture(
            f"No variant has {_blocks(recognised)} of these shapes. Name the network, as in "
            f"--arch efficientnet-b0 --width 0.5 --depth 1.0. {OWN_BLOCKS} Variants: {', '.join(VARIANTS)}."
        )
    if is_free and candidates.likeness(best) < wanted:
        raise UnknownArchitecture(
            f"The tensors fit no EfficientNet: of {len(shapes)}, the nearest ({best.name}, width {best.width:g}, depth "
            f"{best.depth:g}) has {candidates.score(best)}; {'; '.join(candidates.differences(best)[:3])}. It is "
            "probably another architecture, or a part of a checkpoint, such as an incomplete set of moving averages. "
            f"If it is an EfficientNet, name it, as in --arch efficientnet-b0, to see every difference. {OWN_BLOCKS}"
        )
    return Found(spec=best, note=f"No variant fits all tensors; {best.name} fits most of them.")


def _of_other_depth(
    candidates: Candidates, order: list[str], recognised: Recognised, shapes: Shapes, wish: Wish
) -> Iterator[NetworkSpec]:
    """Networks that the file may hold with blocks too many or too few: the published ones, and those of its whole
    blocks.
    """
    for name in order:
        yield candidates.build(name, width=wish.width, depth=wish.depth)
    if recognised.whole_blocks != recognised.num_blocks:
        whole = replace(recognised, num_blocks=recognised.whole_blocks)
        yield from Candidates(whole, shapes, wish).all(order)


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
