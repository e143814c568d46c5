"""Mistakes of the kind that EfficientNets are ported with, planted in one backend's real network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from effnet_core import Activation, NetworkSpec, Padding, Rounding, Stage, resolve
from tests.lively import lively_state

Arrays = Mapping[str, NDArray[Any]]

STAGES = (
    Stage(repeats=1, kernel_size=3, stride=1, expansion=1, in_channels=32, out_channels=16),
    Stage(repeats=2, kernel_size=3, stride=2, expansion=6, in_channels=16, out_channels=24),
)
NAME, WIDTH = "b0", 0.45  # 24 channels become 16 by the rule of V1 and 8 by that of V2
SPEC = resolve(NAME, width=WIDTH, stages=STAGES, num_classes=10)
STATE = lively_state(SPEC)


def _same(value: Any, *_: Any) -> Any:
    return value


def _nothing(_: Any) -> None:
    return


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One mistake: in the definition that a backend builds, in the weights that it takes, or in the model it made."""

    layer: str
    """Where it is."""
    spec: Callable[[NetworkSpec], NetworkSpec] = _same
    state: Callable[[Arrays], Arrays] = _same
    tf: Callable[[Any], None] = _nothing
    torch: Callable[[Any], None] = _nothing
    build: Callable[[pytest.MonkeyPatch], None] = _nothing
    """Changes how Keras' model is built, where that cannot be changed afterwards."""
    is_structural: bool = False
    """Whether it changes shapes."""

    def plant(self, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
        """From now on, that backend builds every network with the mistake."""
        package = pytest.importorskip(f"effnet_{backend}", reason=f"the framework of effnet_{backend} is not installed")
        real = package.create_model

        def create_model(spec: NetworkSpec, state: Arrays, **options: Any) -> Any:
            model = real(self.spec(spec), self.state(state), **options)
            (self.tf if backend == "tf" else self.torch)(model)
            return model

        monkeypatch.setattr(package, "create_model", create_model)
        if backend == "tf":
            self.build(monkeypatch)


def _block(index: int, **fields: Any) -> Callable[[NetworkSpec], NetworkSpec]:
    def change(spec: NetworkSpec) -> NetworkSpec:
        blocks = list(spec.blocks)
        blocks[index] = replace(blocks[index], **fields)
        return replace(spec, blocks=tuple(blocks))

    return change


def _norm_in_torch(path: str, **attributes: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in attributes.items():
            setattr(model.get_submodule(path), name, value)

    return change


def _norm_in_keras(path: str, **attributes: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in attributes.items():
            setattr(model.get_layer(path), name, value)

    return change


def _pads_before_in_torch(model: Any) -> None:
    conv = model.get_submodule("blocks.1.depthwise.conv")
    conv.pads_first, conv.padding = False, (1, 1)


def _pad_before_in_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = pytest.importorskip("effnet_tf.layers", reason="TensorFlow is not installed").Layers
    real = layers._padded

    def padded(self: Any, x: Any, kernel: Any) -> Any:
        wrong = kernel.layer == "blocks.1.depthwise.conv"
        return real(replace(self, padding=Padding.SYMMETRIC) if wrong else self, x, kernel)

    monkeypatch.setattr(layers, "_padded", padded)


def _averaged(state: Arrays) -> Arrays:
    """What moving averages look like: near the variables."""
    return {name: array * np.float32(0.999) for name, array in state.items()}


def _swapped_norms(state: Arrays) -> Arrays:
    first, second = "blocks.1.expand.norm", "blocks.1.depthwise.norm"
    other = {first: second, second: first}
    moved = {name: other.get(name.rpartition(".")[0]) for name in state}
    return {
        name: state[f"{moved[name]}.{name.rpartition('.')[2]}"] if moved[name] else array
        for name, array in state.items()
    }


def _transposed(state: Arrays) -> Arrays:
    name = "blocks.2.depthwise.conv.kernel"
    return {**state, name: np.swapaxes(state[name], 0, 1)}


def _last_bit(state: Arrays) -> Arrays:
    name = "blocks.2.project.conv.kernel"
    changed = np.array(state[name])
    changed.view(np.uint32).flat[17] ^= 1
    return {**state, name: changed}


FAULTS = {
    "padding side": Fault(layer="blocks.1.depthwise.conv", torch=_pads_before_in_torch, build=_pad_before_in_keras),
    "epsilon": Fault(
        layer="blocks.2.depthwise.norm",
        torch=_norm_in_torch("blocks.2.depthwise.norm", eps=1e-5),
        tf=_norm_in_keras("blocks.2.depthwise.norm", epsilon=1e-5),
    ),
    "swapped norms": Fault(layer="blocks.1.expand.norm", state=_swapped_norms),
    "transposed kernel": Fault(layer="blocks.2.depthwise.conv", state=_transposed),
    "raw for averages": Fault(layer="stem.conv", state=_averaged),
    "activation": Fault(layer="blocks.2.expand.activation", spec=_block(2, activation=Activation.RELU6)),
    "squeeze width": Fault(
        layer="blocks.2.squeeze_excite.reduce", spec=_block(2, squeeze_channels=5), is_structural=True
    ),
    "drop-connect rate": Fault(layer="blocks.2.drop_connect", spec=_block(2, drop_connect_rate=0.15)),
    "momentum": Fault(
        layer="blocks.1.project.norm",
        torch=_norm_in_torch("blocks.1.project.norm", momentum=0.99),
        tf=_norm_in_keras("blocks.1.project.norm", momentum=0.01),
    ),
    "residual": Fault(layer="blocks.2", spec=_block(2, has_residual=False)),
    "rounding": Fault(
        layer="blocks.1.project.conv",
        spec=lambda spec: resolve(NAME, width=WIDTH, stages=STAGES, num_classes=10, rounding=Rounding.NEAREST),
        is_structural=True,
    ),
    "one float": Fault(layer="blocks.2.project.conv", state=_last_bit),
}
