"""What an EfficientNet is: framework-free definitions that TensorFlow, PyTorch and the converter share.

All but the parts of a definition is imported when it is first used, so that nothing waits for what it does not need. A
name that is a module's too, such as `parameters`, cannot be of that kind: importing the module would put it in the
name's place.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from effnet_core.endpoints import block_parts, endpoints, reductions
from effnet_core.errors import EffnetError, InvalidOption, InvalidSpec, UnknownVariant
from effnet_core.heads import (
    Activation,
    Classifier,
    Head,
    HiddenActivation,
    HiddenDense,
    HiddenDropout,
    HiddenLayer,
    HiddenNorm,
    Pooling,
)
from effnet_core.parameters import Parameter, Role, parameters
from effnet_core.preprocessing import (
    PIXEL_LIMIT,
    CentreCrop,
    Crop,
    JpegDecoding,
    Offset,
    Preprocessing,
    Resampling,
    ShorterSide,
    WholeImage,
    later_official_crop,
)
from effnet_core.spec import Block, CondMBConv, Family, FusedMBConv, MBConv, NetworkSpec, Norm, Padding, Rounding, Stem

if TYPE_CHECKING:
    from effnet_core.changes import (
        classifier_of,
        described,
        ending,
        norm_of,
        with_classes,
        with_in_channels,
        without_background,
        without_classifier,
        without_head,
    )
    from effnet_core.counting import Counts, counts, multiply_adds, parameter_count, total_count
    from effnet_core.initializers import Constant, Initializer, Normal, Uniform, initializer
    from effnet_core.layer_list import Layer, LayerKind, layers
    from effnet_core.learning_rate import Decay, LearningRate, Schedule, constant_rate
    from effnet_core.masks import MaskSite
    from effnet_core.mismatch import CheckpointMismatch, Misshapen, check_state
    from effnet_core.naming import canonical_name
    from effnet_core.optimizer_slots import Slot
    from effnet_core.options import (
        NormMode,
        UnknownEndpoint,
        check_norm_mode,
        checked_state,
        configured,
        features_pooling,
        select_endpoints,
    )
    from effnet_core.padding import output_size, padding_amounts
    from effnet_core.pixel_plan import Box, Plan, plan
    from effnet_core.recipes import RECIPES
    from effnet_core.resolving import block_count, recipe_preprocessing, resolve
    from effnet_core.rounding import round_channels, round_repeats
    from effnet_core.serialization import from_json, to_json
    from effnet_core.taps import Arithmetic, Taps
    from effnet_core.training import (
        TRAINING_RECIPES,
        Decayed,
        MovingAverage,
        RmsProp,
        Sgd,
        TrainingRecipe,
        TrainingState,
        WeightDecay,
        slots,
        training_recipe,
    )
    from effnet_core.variants import FAMILIES, VARIANTS, Kind, Stage, Variant

__all__ = [
    "FAMILIES",
    "PIXEL_LIMIT",
    "RECIPES",
    "TRAINING_RECIPES",
    "VARIANTS",
    "Activation",
    "Arithmetic",
    "Block",
    "Box",
    "CentreCrop",
    "CheckpointMismatch",
    "Classifier",
    "CondMBConv",
    "Constant",
    "Counts",
    "Crop",
    "Decay",
    "Decayed",
    "EffnetError",
    "Family",
    "FusedMBConv",
    "Head",
    "HiddenActivation",
    "HiddenDense",
    "HiddenDropout",
    "HiddenLayer",
    "HiddenNorm",
    "Initializer",
    "InvalidOption",
    "InvalidSpec",
    "JpegDecoding",
    "Kind",
    "Layer",
    "LayerKind",
    "LearningRate",
    "MBConv",
    "MaskSite",
    "Misshapen",
    "MovingAverage",
    "NetworkSpec",
    "Norm",
    "NormMode",
    "Normal",
    "Offset",
    "Padding",
    "Parameter",
    "Plan",
    "Pooling",
    "Preprocessing",
    "Resampling",
    "RmsProp",
    "Role",
    "Rounding",
    "Schedule",
    "Sgd",
    "ShorterSide",
    "Slot",
    "Stage",
    "Stem",
    "Taps",
    "TrainingRecipe",
    "TrainingState",
    "Uniform",
    "UnknownEndpoint",
    "UnknownVariant",
    "Variant",
    "WeightDecay",
    "WholeImage",
    "block_count",
    "block_parts",
    "canonical_name",
    "check_norm_mode",
    "check_state",
    "checked_state",
    "classifier_of",
    "configured",
    "constant_rate",
    "counts",
    "described",
    "ending",
    "endpoints",
    "features_pooling",
    "from_json",
    "initializer",
    "later_official_crop",
    "layers",
    "multiply_adds",
    "norm_of",
    "output_size",
    "padding_amounts",
    "parameter_count",
    "parameters",
    "plan",
    "recipe_preprocessing",
    "reductions",
    "resolve",
    "round_channels",
    "round_repeats",
    "select_endpoints",
    "slots",
    "to_json",
    "total_count",
    "training_recipe",
    "with_classes",
    "with_in_channels",
    "without_background",
    "without_classifier",
    "without_head",
]

_MODULES = {
    "Arithmetic": "effnet_core.taps",
    "Box": "effnet_core.pixel_plan",
    "CheckpointMismatch": "effnet_core.mismatch",
    "Constant": "effnet_core.initializers",
    "Counts": "effnet_core.counting",
    "Decay": "effnet_core.learning_rate",
    "Decayed": "effnet_core.training",
    "FAMILIES": "effnet_core.variants",
    "Initializer": "effnet_core.initializers",
    "Kind": "effnet_core.variants",
    "Layer": "effnet_core.layer_list",
    "LayerKind": "effnet_core.layer_list",
    "LearningRate": "effnet_core.learning_rate",
    "MaskSite": "effnet_core.masks",
    "Misshapen": "effnet_core.mismatch",
    "MovingAverage": "effnet_core.training",
    "NormMode": "effnet_core.options",
    "Normal": "effnet_core.initializers",
    "Plan": "effnet_core.pixel_plan",
    "RECIPES": "effnet_core.recipes",
    "RmsProp": "effnet_core.training",
    "Schedule": "effnet_core.learning_rate",
    "Sgd": "effnet_core.training",
    "Slot": "effnet_core.optimizer_slots",
    "Stage": "effnet_core.variants",
    "TRAINING_RECIPES": "effnet_core.training",
    "Taps": "effnet_core.taps",
    "TrainingRecipe": "effnet_core.training",
    "TrainingState": "effnet_core.training",
    "Uniform": "effnet_core.initializers",
    "UnknownEndpoint": "effnet_core.options",
    "VARIANTS": "effnet_core.variants",
    "Variant": "effnet_core.variants",
    "WeightDecay": "effnet_core.training",
    "block_count": "effnet_core.resolving",
    "canonical_name": "effnet_core.naming",
    "check_norm_mode": "effnet_core.options",
    "check_state": "effnet_core.mismatch",
    "checked_state": "effnet_core.options",
    "classifier_of": "effnet_core.changes",
    "configured": "effnet_core.options",
    "constant_rate": "effnet_core.learning_rate",
    "counts": "effnet_core.counting",
    "described": "effnet_core.changes",
    "ending": "effnet_core.changes",
    "features_pooling": "effnet_core.options",
    "from_json": "effnet_core.serialization",
    "initializer": "effnet_core.initializers",
    "layers": "effnet_core.layer_list",
    "multiply_adds": "effnet_core.counting",
    "norm_of": "effnet_core.changes",
    "output_size": "effnet_core.padding",
    "padding_amounts": "effnet_core.padding",
    "parameter_count": "effnet_core.counting",
    "plan": "effnet_core.pixel_plan",
    "recipe_preprocessing": "effnet_core.resolving",
    "resolve": "effnet_core.resolving",
    "round_channels": "effnet_core.rounding",
    "round_repeats": "effnet_core.rounding",
    "select_endpoints": "effnet_core.options",
    "slots": "effnet_core.training",
    "to_json": "effnet_core.serialization",
    "total_count": "effnet_core.counting",
    "training_recipe": "effnet_core.training",
    "with_classes": "effnet_core.changes",
    "with_in_channels": "effnet_core.changes",
    "without_background": "effnet_core.changes",
    "without_classifier": "effnet_core.changes",
    "without_head": "effnet_core.changes",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Name what can be imported, and not yet is."""
    return sorted({*globals(), *_MODULES})
