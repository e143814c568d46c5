"""EfficientNet in Keras 3: functional models of built-in layers from the definitions of `effnet_core`.

Importing it registers the layers for conditional convolutions and the optimisers, which Keras needs to open a saved
CondConv network, and a saved model that was compiled with them.
"""

from effnet_tf.averages import MovingAverages
from effnet_tf.losses import cross_entropy, weight_decay
from effnet_tf.masks import Masks
from effnet_tf.model import create_model
from effnet_tf.optimizers import TfMomentum, TfRMSprop, TfSchedule, create_optimizer, create_schedule
from effnet_tf.trainer import StepResult, Trainer
from effnet_tf.weights import load_state, read_state

__all__ = [
    "Masks",
    "MovingAverages",
    "StepResult",
    "TfMomentum",
    "TfRMSprop",
    "TfSchedule",
    "Trainer",
    "create_model",
    "create_optimizer",
    "create_schedule",
    "cross_entropy",
    "load_state",
    "read_state",
    "weight_decay",
]
