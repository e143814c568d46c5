"""How images are prepared for the published weights that a file names in timm's words."""

from __future__ import annotations

from dataclasses import replace
from math import isclose

from converters.dialects._timm_statements import Statement
from converters.dialects._timm_weights import Evaluated, evaluated, is_halved, recipe_of, resolution_of
from converters.dialects.dialect import HALF, Configured, PixelRange
from effnet_core import RECIPES, VARIANTS, NetworkSpec, Preprocessing, recipe_preprocessing

_LEVELS = 255


def prepared_as_named(spec: NetworkSpec, found: tuple[Statement, ...]) -> Configured:
    """The network with the preprocessing of the weights that name it, where they tell one and no two tell several.

    A model's name alone tells none, as other weights of it were prepared otherwise; what timm takes for them then is in
    the remark, where it differs.
    """
    own = [one for one in found if one.variant == spec.name]
    named = [(one, rule) for one in own if one.tag and (rule := _rule(spec, one)) is not None]
    if not named:
        return Configured(spec=spec, remark=_remark_on_model(spec, own[0]) if own and not own[0].tag else "")
    one, (rule, pixels) = named[0]
    other = next((other for other, way in named if _numbers(*way) != _numbers(rule, pixels)), None)
    if other is not None:
        note = (
            f"The file names weights for which images are prepared differently, {one.where} {one.name[:80]!r} and "
            f"{other.where} {other.name[:80]!r}: of neither that was taken."
        )
        return Configured(spec=spec, notes=(note,))
    timm = evaluated(one.model, one.tag)
    return Configured(
        spec=replace(spec, preprocessing=rule),
        pixels=pixels,
        weights=f"{one.name[:80]!r} as {one.where} says",
        remark="" if timm is None else f"timm itself prepares images for these weights so: {timm}.",
    )


def _rule(spec: NetworkSpec, said: Statement) -> tuple[Preprocessing, PixelRange | None] | None:
    """The preprocessing that the named weights were published with, and what normalises in its place."""
    recipe = recipe_of(said.model, said.tag)
    if recipe is None:
        halved = not said.is_tf and is_halved(said.model, said.tag)
        return (spec.preprocessing, HALF) if halved else None
    resolution = resolution_of(said.model, said.tag) or RECIPES[recipe].resolution or VARIANTS[spec.name].resolution
    return recipe_preprocessing(recipe, resolution=resolution), None


def _numbers(rule: Preprocessing, pixels: PixelRange | None) -> tuple[object, ...]:
    """What two names have to agree on; several recipes prepare images alike."""
    return replace(rule, recipe=""), pixels


def _remark_on_model(spec: NetworkSpec, said: Statement) -> str:
    """What timm takes for a name that tells nothing of weights, where that differs in more than how it resizes."""
    timm = evaluated(said.model, "")
    if timm is not None and not _agree(spec.preprocessing, timm):
        return f"timm 1.0.31 itself prepares images for {said.name[:80]!r} so: {timm}."
    if timm is None and is_halved(said.model, ""):
        return f"timm 1.0.31 itself normalises images for {said.name[:80]!r} by mean and std 0.5 of pixels in 0..1."
    return ""


def _agree(rule: Preprocessing, timm: Evaluated) -> bool:
    given, expected = (*rule.mean, *rule.scale), (*timm.mean, *timm.std)
    same = all(isclose(one, _LEVELS * other, rel_tol=1e-6) for one, other in zip(given, expected, strict=False))
    return same and rule.resolution == timm.resolution
