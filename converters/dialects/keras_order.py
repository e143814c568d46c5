"""Names by order, in files of keras.applications' networks that do not hold the names of layers.

A `.weights.h5` of Keras 2, and of Keras 3 before it wrote names, has the class of a layer and a number among those of
its class: `layers/conv2d_5/kernel`. Such files are read; what is written names its layers.

Source: tf_keras/src/saving/saving_lib.py, version 2.21.
"""

from types import MappingProxyType

from converters.dialects.dialect import (
    FUSED,
    FUSED_PLAIN,
    MBCONV,
    MBCONV_PLAIN,
    Dialect,
    Semantics,
    StoredNormalisation,
)
from converters.dialects.effnet_keras import KERAS_LEAVES
from converters.dialects.keras_applications import KERAS_APPLICATIONS_V2, LAYERS, MADE_FOR_ANY_SIZE
from converters.dialects.native import CANONICAL_BLOCKS
from effnet_core import Family, Padding

_CLASSES = {"conv": "conv2d", "norm": "batch_normalization", "reduce": "conv2d", "expand": "conv2d"}
"""Class of a layer by the last word of its canonical part."""
_NUMBER = "[_{nth_of_sort}]"


def _class_of(part: str) -> str:
    """The template of a layer by its class."""
    if part == "depthwise.conv":
        return f"layers/depthwise_conv2d{_NUMBER}"
    if part == "classifier":
        return "layers/dense"
    return f"layers/{_CLASSES[part.rpartition('.')[2]]}{_NUMBER}"


KERAS_ORDER = Dialect(
    name="keras-order",
    title="keras.applications by order (.weights.h5 without names)",
    layers=MappingProxyType({part: _class_of(part) for part in LAYERS}),
    blocks=MappingProxyType(
        {
            kind: MappingProxyType({part: _class_of(part) for part in CANONICAL_BLOCKS[kind]})
            for kind in (MBCONV, MBCONV_PLAIN, FUSED, FUSED_PLAIN)
        }
    ),
    separator="/",
    leaves=KERAS_LEAVES,
    axes=MappingProxyType({}),
    is_written=False,
    families=frozenset({Family.V1, Family.V2}),
    caution=(
        "The file numbers its layers and does not name them; took it for a network of keras.applications. A file "
        "that has their names (a whole model as .keras or .h5) leaves nothing to guess."
    ),
    normalisation=StoredNormalisation(
        mean="layers/normalization/mean",
        variance="layers/normalization/variance",
        count="layers/normalization/count",
        families=frozenset({Family.V1}),
    ),
    semantics=(
        Semantics(padding=Padding.SAME, epsilon=1e-3, family=Family.V1, doubt=MADE_FOR_ANY_SIZE),
        *KERAS_APPLICATIONS_V2.semantics,
    ),
)
