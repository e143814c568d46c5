"""The loss of the published recipes: cross-entropy with label smoothing, and weight decay."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from effnet_core import NetworkSpec, WeightDecay
from effnet_torch.weights import named_tensors


def cross_entropy(logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """The mean over the batch: logits (N, classes), labels (N,) class numbers or (N, classes) probabilities.

    Of the probability, `label_smoothing` goes to all classes alike, as in tf.losses.softmax_cross_entropy.
    """
    return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)


def weight_decay(model: nn.Module, spec: NetworkSpec, rule: WeightDecay) -> Tensor:
    """What the rule adds to the loss: rate * sum of squares / 2 over the tensors that it decays and training changes.

    Raises `CheckpointMismatch` when the model is not the network of `spec`.
    """
    decayed = [
        tensor for parameter, tensor in named_tensors(model, spec) if rule.applies(parameter) and tensor.requires_grad
    ]
    return rule.rate * torch.stack([tensor.square().sum() / 2 for tensor in decayed]).sum()
