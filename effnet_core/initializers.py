"""How training starts every tensor."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from effnet_core.parameters import Parameter, Role


@dataclass(frozen=True, kw_only=True)
class Normal:
    """Draw from a normal distribution around 0, not truncated."""

    stddev: float


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Draw uniformly from [-limit, limit]."""

    limit: float


@dataclass(frozen=True, kw_only=True)
class Constant:
    """Fill with one value."""

    value: float


Initializer = Normal | Uniform | Constant


def initializer(parameter: Parameter) -> Initializer:
    """How training starts a tensor.

    Source: tensorflow/tpu models/official/efficientnet/efficientnet_model.py, conv_kernel_initializer (fan out, also
    for depthwise kernels, whose fan out is the multiplier 1) and dense_kernel_initializer; condconv_layers.py, where
    each expert is drawn like a kernel of its own, and the routing by the rule of Glorot and Bengio (2010, equation 16).
    """
    match parameter.role:
        case Role.CONV | Role.DEPTHWISE | Role.EXPERTS | Role.DEPTHWISE_EXPERTS:
            height, width, _, out = parameter.expert_shape or parameter.shape
            return Normal(stddev=sqrt(2 / (height * width * out)))
        case Role.DENSE:
            return Uniform(limit=1 / sqrt(parameter.shape[1]))
        case Role.ROUTING:
            return Uniform(limit=sqrt(6 / sum(parameter.shape)))
        case Role.GAMMA | Role.VARIANCE:
            return Constant(value=1.0)
        case Role.BIAS | Role.BETA | Role.MEAN:
            return Constant(value=0.0)
