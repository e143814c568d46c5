"""Every dialect that is known, by its name. To add one, write its file and its row here."""

from collections.abc import Mapping
from types import MappingProxyType

from converters.dialects.deep_learning_for_image_processing import DLFIP
from converters.dialects.dialect import Dialect, Ignorable, Semantics
from converters.dialects.efficientnet_pytorch import EFFICIENTNET_PYTORCH
from converters.dialects.effnet_keras import EFFNET_KERAS
from converters.dialects.effnet_torch import EFFNET_TORCH
from converters.dialects.huggingface import HUGGINGFACE
from converters.dialects.keras_applications import KERAS_APPLICATIONS, KERAS_APPLICATIONS_V2
from converters.dialects.keras_hub import KERAS_HUB
from converters.dialects.keras_order import KERAS_ORDER
from converters.dialects.native import NATIVE
from converters.dialects.official import OFFICIAL
from converters.dialects.official_object import OFFICIAL_OBJECT
from converters.dialects.qubvel import QUBVEL
from converters.dialects.timm import TIMM, TIMM_SYMMETRIC
from converters.dialects.torchvision import TORCHVISION

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            NATIVE,
            EFFNET_TORCH,
            EFFNET_KERAS,
            OFFICIAL,
            OFFICIAL_OBJECT,
            EFFICIENTNET_PYTORCH,
            TIMM,
            TIMM_SYMMETRIC,
            TORCHVISION,
            HUGGINGFACE,
            DLFIP,
            KERAS_APPLICATIONS,
            KERAS_APPLICATIONS_V2,
            QUBVEL,
            KERAS_HUB,
            KERAS_ORDER,
        )
    }
)

WRITTEN_DIALECTS: tuple[str, ...] = tuple(name for name, row in DIALECTS.items() if row.is_written)
"""Names of the dialects that are written too."""

__all__ = ["DIALECTS", "WRITTEN_DIALECTS", "Dialect", "Ignorable", "Semantics"]
