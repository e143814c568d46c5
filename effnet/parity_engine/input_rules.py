"""Rules by which pixels become the input of a network, applied to what another rule has prepared."""

from __future__ import annotations

from collections.abc import Iterator

from effnet.backends import Array
from effnet_core import RECIPES, Preprocessing

Rgb = tuple[float, float, float]


def prepared_otherwise(own: Preprocessing, batch: Array) -> Iterator[tuple[str, Array]]:
    """A batch (N, H, W, C) as other rules make it of the same pixels, or of itself once more: words and numbers."""
    channels = batch.shape[-1]
    rules = [(recipe.mean, recipe.scale) for recipe in RECIPES.values()]
    rules += [((0.0, 0.0, 0.0), (scale, scale, scale)) for scale in (255.0, 1.0)]
    for rule in dict.fromkeys(_for_channels(mean, scale, channels) for mean, scale in rules):
        if rule is None:
            continue
        mean, scale = rule
        words = _rule(*rule)
        if rule != (own.mean, own.scale) and len(own.mean) == len(own.scale) == channels:
            pixels = batch * own.scale + own.mean
            yield f"takes {words} of the pixels 0..255, not {_rule(own.mean, own.scale)}", (pixels - mean) / scale
        if words != "x":
            yield f"takes {words} of its input once more", (batch - mean) / scale


def _for_channels(mean: Rgb, scale: Rgb, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """A rule for that many channels; None where it has other numbers for each of red, green and blue."""
    if len(mean) == channels:
        return mean, scale
    return (mean[:1] * channels, scale[:1] * channels) if len({*mean}) == len({*scale}) == 1 else None


def _rule(mean: tuple[float, ...], scale: tuple[float, ...]) -> str:
    """What is done to x, such as (x - 127) / 128."""
    first, second = (
        f"{one[0]:g}" if len({*one}) == 1 else f"({', '.join(f'{x:g}' for x in one)})" for one in (mean, scale)
    )
    difference = "x" if first == "0" else f"(x - {first})"
    return difference if second == "1" else f"{difference} / {second}"
