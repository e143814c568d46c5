"""Layers of qubvel/efficientnet (`pip install efficientnet`), Keras models before keras.applications had them.

They are named as there, apart from the classifier, and normalise nothing: images are prepared before them.

Source: efficientnet/model.py, version 1.1.
"""

from types import MappingProxyType

from converters.dialects.dialect import Dialect, Semantics
from converters.dialects.effnet_keras import KERAS_3_DEPTHWISE, KERAS_LEAVES
from converters.dialects.keras_applications import LAYERS, V1_BLOCKS
from effnet_core import Family, Padding

QUBVEL = Dialect(
    name="qubvel",
    title="qubvel/efficientnet",
    layers=MappingProxyType({**LAYERS, "classifier": "probs"}),
    blocks=V1_BLOCKS,
    separator="/",
    leaves=KERAS_LEAVES,
    axes=MappingProxyType({}),
    families=frozenset({Family.V1}),
    depthwise_alternative=KERAS_3_DEPTHWISE,
    semantics=(Semantics(padding=Padding.SAME, epsilon=1e-3, decay=0.99),),
)
