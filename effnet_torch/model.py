"""The whole network, and `create_model`, which builds it from a name or a definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from effnet_core import (
    Classifier,
    InvalidOption,
    NetworkSpec,
    NormMode,
    Pooling,
    check_norm_mode,
    checked_state,
    configured,
    features_pooling,
    select_endpoints,
)
from effnet_torch.blocks import build_block
from effnet_torch.errors import UnavailableDevice, UnknownDtype
from effnet_torch.hidden import build_hidden
from effnet_torch.layers import ConvNorm, GlobalAverage, GlobalMaximum, PaddedConv2d
from effnet_torch.norms import RunningVariance, exchange_norms
from effnet_torch.recording import Recorder
from effnet_torch.weights import initialize, load_state

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class EfficientNet(nn.Module):
    """A network as its definition says; the module paths are canonical names.

    These are `stem`, `blocks`, `head`, `hidden` and `classifier`, the last three where the definition has them. Without
    its classifier (`include_top=False`, or by definition) it gives features, pooled or spatial. With `endpoints` it
    gives a dictionary of those values, in that order, and runs no further than they need.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        *,
        include_top: bool = True,
        pooling: Pooling | None = None,
        endpoints: Sequence[str] | None = None,
        norm_mode: NormMode = NormMode.TRAINED,
        running_variance: RunningVariance = RunningVariance.UNBIASED,
    ) -> None:
        super().__init__()
        check_norm_mode(spec, NormMode(norm_mode))
        stem, head, norm = spec.stem, spec.head, spec.norm
        top = spec.classifier if include_top else None
        self.spec = spec
        # With a classifier the definition says how its input is pooled.
        self.pooling = features_pooling(spec, pooling if top is None else None)
        self.endpoints = None if endpoints is None else select_endpoints(spec, endpoints, include_top=include_top)
        conv = PaddedConv2d(
            stem.in_channels,
            stem.out_channels,
            kernel_size=stem.kernel_size,
            stride=stem.stride,
            bias=norm is None,
            padding=spec.padding,
        )
        self.stem = ConvNorm(conv, norm=norm, activation=stem.activation)
        self.blocks = nn.ModuleList(
            build_block(block, path=f"blocks.{index}", norm=norm, padding=spec.padding)
            for index, block in enumerate(spec.blocks)
        )
        self.head: ConvNorm | None = None
        if head is not None:
            conv = PaddedConv2d(head.in_channels, head.out_channels, kernel_size=1, bias=norm is None)
            self.head = ConvNorm(conv, norm=norm, activation=head.activation)
        self.pool = GlobalMaximum() if self.pooling is Pooling.MAX else GlobalAverage()
        self._add_classifier(top)
        exchange_norms(self, norm_mode=NormMode(norm_mode), running_variance=RunningVariance(running_variance))

    def _add_classifier(self, top: Classifier | None) -> None:
        """Hidden layers, dropout and the last dense layer."""
        self.hidden = nn.ModuleList(build_hidden(layer) for layer in (() if top is None else top.hidden))
        self.dropout = nn.Dropout(0.0 if top is None else top.dropout_rate)
        self.classifier = None if top is None else nn.Linear(top.in_channels, top.num_classes)

    def forward(self, images: Tensor) -> Tensor | dict[str, Tensor]:
        """(N, C, H, W), normalised as the definition's preprocessing says, any H and W -> logits, (N, classes).

        Without classifier: pooled features (N, C), or spatial ones (N, C, H / 32, W / 32) rounded up. With
        endpoints: their values by name. Raises `InvalidOption` for images of another shape.
        """
        if images.ndim != 4 or images.shape[1] != self.spec.stem.in_channels:
            raise InvalidOption(
                f"The images have the shape {tuple(images.shape)}; expected (N, {self.spec.stem.in_channels}, H, W), "
                "channels second. Images with the channels last need images.permute(0, 3, 1, 2)."
            )
        if self.endpoints is None:
            return self._run(images, Recorder())
        record = Recorder(self.endpoints.values())
        self._run(images, record)
        return {name: record.values[endpoint] for name, endpoint in self.endpoints.items()}

    def _run(self, images: Tensor, record: Recorder) -> Tensor:
        x = cast("Tensor", self.stem(images))
        record.keep("stem", x)
        for block in self.blocks:
            if record.complete:
                return x
            x = block(x, record)
        if record.complete:
            return x
        if self.head is None:
            return x
        x = self.head(x)
        record.keep("head", x)
        if self.classifier is None and self.endpoints is None and self.pooling is Pooling.NONE:
            return x
        x = self.pool(x)  # (N, C, H, W) -> (N, C)
        record.keep("pooled", x)
        if self.classifier is None:
            return x
        for index, layer in enumerate(self.hidden):
            x = layer(x)
            record.keep(f"hidden.{index}", x)
        x = self.classifier(self.dropout(x))
        record.keep("logits", x)
        return x


def create_model(
    network: str | NetworkSpec,
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    include_top: bool = True,
    pooling: Pooling | None = None,
    dropout_rate: float | None = None,
    drop_connect_rate: float | None = None,
    endpoints: Sequence[str] | None = None,
    norm_mode: NormMode = NormMode.TRAINED,
    running_variance: RunningVariance = RunningVariance.UNBIASED,
    dtype: str = "float32",
    seed: int | None = None,
    device: str = "cpu",
) -> EfficientNet:
    """Build a network from a name such as `b0` or a definition, with the canonical state `weights` or fresh values.

    The model is in training mode, like every new PyTorch module: call `.eval()` before using it for inference.

    What is None stays as the definition says. `drop_connect_rate` is re-scaled for every block: rate * index / blocks.
    With `include_top=False`, and where the definition has no classifier, the model gives the features of the head as
    `pooling` says (None: as the definition pools for its classifier, else their average), or those of the last block
    where the definition has no head. `endpoints` are names of `effnet_core.endpoints` or `reduction_1` to
    `reduction_5`; the model then gives a dictionary. `dtype` is float32, float64, bfloat16 or float16. With `seed` the
    fresh values are reproducible and PyTorch's global generator is not touched.

    `norm_mode=NormMode.FROZEN` is for fine-tuning: every normalisation stays in evaluation mode under `.train()` and
    its gamma and beta have `requires_grad=False`, so that training changes neither them nor the moving statistics. A
    folded network (`converters.fold`) has none: `FROZEN` is refused, and training changes kernels and biases.

    `running_variance=RunningVariance.BIASED` trains with Keras' running variance; the default is torch's own, whose
    modules other tools know (`nn.SyncBatchNorm.convert_sync_batchnorm`, fusing, quantisation). Inference is the same.

    Raises `UnknownVariant`, `InvalidSpec`, `InvalidOption`, `UnknownEndpoint`, `UnknownDtype`, `UnavailableDevice`,
    and `CheckpointMismatch` when the weights do not fit.
    """
    spec = configured(
        network,
        num_classes=num_classes,
        in_channels=in_channels,
        dropout_rate=dropout_rate,
        drop_connect_rate=drop_connect_rate,
    )
    if dtype not in DTYPES:
        raise UnknownDtype(f"There is no dtype named {dtype!r} here. Choose one of {', '.join(DTYPES)}.")
    # On "meta" the layers get no memory and draw no random numbers of their own.
    with torch.device("meta"):
        model = EfficientNet(
            spec,
            include_top=include_top,
            pooling=pooling,
            endpoints=endpoints,
            norm_mode=norm_mode,
            running_variance=running_variance,
        )
    model = model.to(DTYPES[dtype]).to_empty(device=_device(device))
    if weights is None:
        initialize(model, spec, seed=seed)
    else:
        load_state(model, spec, checked_state(weights))
    return model


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch asserts that it was compiled for the device
        reason = str(error).splitlines()[0]
        raise UnavailableDevice(f"Cannot use the device {name!r}: {reason}. Choose cpu, or cuda with a GPU.") from error
    return device
