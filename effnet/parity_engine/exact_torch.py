"""A network of `effnet_torch` on a grid: forward hooks hand every module's result to a `Trace`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from effnet.backends import Array, Network
from effnet.choices import Device
from effnet.parity_engine.grid import norm_of
from effnet.parity_engine.trace import Trace
from effnet_core import NetworkSpec

_RENAMED = {"classifier": "logits", "pool": "pooled"}
"""Modules whose results have another name than they."""


class TorchModel:
    """The model that `effnet_torch.create_model` builds, in float64."""

    def __init__(self, network: Network, *, endpoints: Sequence[str], device: Device) -> None:
        from effnet_torch import create_model

        self._torch: Any = import_module("torch")
        self._spec, self._device = network.spec, device.value
        # Only the last is asked for, so that the model runs as far and keeps nothing.
        self._model: Any = create_model(
            network.spec, network.state, endpoints=endpoints[-1:], dtype="float64", device=device.value
        )

    def state(self) -> dict[str, Array]:
        """What the model holds, canonically."""
        from effnet_torch import read_state

        return read_state(self._model, self._spec)

    def load(self, state: Mapping[str, Array]) -> None:
        """Put a canonical state into it."""
        from effnet_torch import load_state

        load_state(self._model, self._spec, state)

    def run(self, batch: Array, trace: Trace) -> None:
        """Forward a batch (N, H, W, C), in training mode where the trace is of training."""
        hooks = [
            module.register_forward_hook(self._hook(name, trace))
            for name, module in ((_canonical(path), module) for path, module in self._model.named_modules())
            if name in trace
        ]
        try:
            with self._torch.no_grad():
                self._model.train(trace.training)(self._tensor(batch))
        finally:
            for hook in hooks:
                hook.remove()

    def updated(self, reference: NetworkSpec, before: Mapping[str, Array], trace: Trace) -> dict[str, Array]:
        """The moving statistics after training, as Keras would have updated them from the same batch.

        torch takes the unbiased variance of the batch, n / (n - 1) times the biased one: what it has added, with the
        weight that the definition `reference` gives, is divided by that.
        """
        after = self.state()
        for name, rows in trace.rows.items():
            kept = norm_of(reference, name).decay * before[f"{name}.variance"]
            after[f"{name}.variance"] = kept + (after[f"{name}.variance"] - kept) * (rows - 1) / rows
        return after

    def _hook(self, name: str, trace: Trace) -> Any:
        def hook(module: Any, inputs: tuple[Any, ...], output: Any) -> Any:
            arrays = [_array(value) for value in inputs if isinstance(value, self._torch.Tensor)]
            found = trace.layer(name, arrays, _array(output), lambda first: _array(module.forward(self._tensor(first))))
            return self._tensor(found)

        return hook

    def _tensor(self, array: Array) -> Any:
        if array.ndim == 4:
            array = array.transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
        return self._torch.from_numpy(array).contiguous().to(self._device)


def _canonical(path: str) -> str:
    return _RENAMED.get(path, path.replace("routing_", "routing."))


def _array(tensor: Any) -> Array:
    array = tensor.detach().cpu().numpy()
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array  # (N, C, H, W) -> (N, H, W, C)
