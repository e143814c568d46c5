"""The loss of the published recipes: cross-entropy with label smoothing, and weight decay."""

from __future__ import annotations

from typing import Any

from effnet_core import NetworkSpec, WeightDecay, parameters
from effnet_tf._keras import Model, keras
from effnet_tf.weights import named_variables


def cross_entropy(logits: Any, labels: Any, *, label_smoothing: float = 0.0) -> Any:
    """The mean over the batch: logits (N, classes), labels (N,) class numbers or (N, classes) probabilities.

    Of the probability, `label_smoothing` goes to all classes alike, as in tf.losses.softmax_cross_entropy.
    """
    ops = keras.ops
    logits, labels = ops.convert_to_tensor(logits), ops.convert_to_tensor(labels)
    if len(labels.shape) == 1:
        labels = ops.one_hot(labels, logits.shape[-1])
    return ops.mean(
        keras.losses.categorical_crossentropy(
            ops.cast(labels, logits.dtype), logits, from_logits=True, label_smoothing=label_smoothing
        )
    )


def weight_decay(model: Model, spec: NetworkSpec, rule: WeightDecay) -> Any:
    """What the rule adds to the loss: rate * sum of squares / 2 over the tensors that it decays and training changes.

    Raises `CheckpointMismatch` when the model is not the network of `spec`.
    """
    variables = named_variables(model, spec)
    decayed = [
        variables[parameter.name]
        for parameter in parameters(spec)
        if rule.applies(parameter) and parameter.name in variables and variables[parameter.name].trainable
    ]
    return rule.rate * sum(keras.ops.sum(keras.ops.square(variable)) / 2 for variable in decayed)
