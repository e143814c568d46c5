"""A PyTorch module as one side of a comparison."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from effnet.backends import device_of
from effnet.choices import Backend, Device, Layout, Precision
from effnet.errors import UnusableModel
from effnet.testing.sides import (
    Array,
    Recorded,
    check_called,
    first_line,
    from_model,
    named_outputs,
    same_random_numbers,
    to_model,
)


class TorchSide:
    """A module; it takes and gives images channels first, unless `layout` says otherwise."""

    def __init__(self, model: Any, layout: Layout | None) -> None:
        self._model = model
        self._layout = layout or Layout.CHANNELS_FIRST

    @property
    def title(self) -> str:
        """The name of its class."""
        return f"{type(self._model).__name__} in PyTorch"

    def endpoints(self) -> Mapping[str, str]:
        """Modules of an EfficientNet of this project have their endpoints' names."""
        if not type(self._model).__module__.startswith("effnet_torch."):
            return {}
        from effnet_core import endpoints

        modules = dict(self._model.named_modules())
        own = {name: "classifier" if name == "logits" else name for name in endpoints(self._model.spec)}
        return {name: module for name, module in own.items() if modules.get(module) is not None}

    def run(
        self, inputs: Array, names: Sequence[str], *, precisions: Sequence[Precision], device: Device
    ) -> dict[Precision, Recorded]:
        """As `Side.run`. Hooks of the model are copied with it and run."""
        torch: Any = import_module("torch")
        devices = [torch.cuda.current_device()] if device is Device.CUDA and torch.cuda.is_available() else []
        with (
            device_of(Backend.TORCH, device),
            same_random_numbers(),
            torch.random.fork_rng(devices=devices),
            torch.no_grad(),
        ):
            return {
                precision: self._recorded(self._copied(precision, device), inputs, names, precision, device)
                for precision in precisions
            }

    def _copied(self, precision: Precision, device: Device) -> Any:
        torch: Any = import_module("torch")
        try:
            return copy.deepcopy(self._model).to(device=device.value, dtype=getattr(torch, precision.value)).eval()
        except (RuntimeError, TypeError, NotImplementedError) as error:
            raise UnusableModel(
                f"{self.title} cannot be copied in {precision}: {first_line(error)}. The comparison runs copies of "
                "the model (copy.deepcopy), so that it never changes it."
            ) from error

    def _recorded(
        self, model: Any, inputs: Array, names: Sequence[str], precision: Precision, device: Device
    ) -> Recorded:
        torch: Any = import_module("torch")
        values: dict[str, Array] = {}
        calls: dict[str, int] = {}
        modules = dict(model.named_modules())
        missing = [name for name in names if name not in modules]
        if missing:
            known = ", ".join(filter(None, modules))
            raise UnusableModel(f"{self.title} has no module named {', '.join(missing)}. Its modules: {known}.")

        def keeping(name: str) -> Callable[..., None]:
            def keep(_module: Any, _inputs: Any, output: Any) -> None:
                if isinstance(output, torch.Tensor):
                    calls[name] = calls.get(name, 0) + 1
                    values[name] = self._array(output)

            return keep

        for name in names:
            modules[name].register_forward_hook(keeping(name))
        given = torch.from_numpy(to_model(inputs, self._layout, precision)).to(device.value)
        try:
            result = model(given)
        except (RuntimeError, TypeError, ValueError) as error:
            raise UnusableModel(
                f"{self.title} cannot be run in {precision} with input of shape {tuple(given.shape)}: "
                f"{first_line(error)}. If it works in float32 alone, compare with precision='float32'."
            ) from error
        check_called(names, calls, self.title)
        return Recorded(
            values=values, outputs={name: self._array(value) for name, value in named_outputs(result).items()}
        )

    def _array(self, tensor: Any) -> Array:
        # A copy at once: activations that work in place change what the module before them gave.
        return from_model(tensor.detach().cpu().numpy(), self._layout).copy()
