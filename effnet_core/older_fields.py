"""Preprocessing as earlier versions of this project wrote it, in today's words."""

from __future__ import annotations

from typing import Any

from effnet_core.preprocessing import Offset, Resampling
from effnet_core.recipes import RECIPES

_OLDER = {"crop_padding", "interpolation"}
_RESAMPLING = {"bicubic": Resampling.LEGACY_BICUBIC, "bilinear": Resampling.HALF_PIXEL_BILINEAR}
"""Of a recipe that is none of this project's: what the official code calls so in V1 and V2."""


def with_todays_fields(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of `Preprocessing` with a crop and a resampling in place of the two fields that stood for both; others
    are left as they are.

    The older words did not tell TensorFlow 1's resampling from TensorFlow 2's, nor how a crop's offset is rounded: both
    are those of the recipe, which was always written beside them.
    """
    if not given.keys() >= _OLDER:
        return given
    name = given.get("recipe")
    recipe = RECIPES.get(name) if isinstance(name, str) else None
    padding, interpolation = given["crop_padding"], given["interpolation"]
    resampling: Any = _RESAMPLING.get(interpolation, interpolation) if isinstance(interpolation, str) else interpolation
    if recipe is not None and isinstance(interpolation, str) and recipe.resampling.endswith(f"-{interpolation}"):
        resampling = recipe.resampling
    is_new = recipe is not None and recipe.resampling is Resampling.HALF_PIXEL_BILINEAR
    offset = Offset.FLOOR if is_new else Offset.CEILING
    crop = {"kind": "WholeImage"} if padding is None else {"kind": "CentreCrop", "padding": padding, "offset": offset}
    return {key: value for key, value in given.items() if key not in _OLDER} | {
        "crop": crop,
        "resampling": resampling,
    }
