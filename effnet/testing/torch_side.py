"""A PyTorch module as one side of a comparison."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from effnet.backends import device_of
from effnet.choices import Backend, Device, Layout, Precision
from effnet.errors import UnusableModel
from effnet.testing.faithful import PART, check_faithful
from effnet.testing.sides import (
    Array,
    Recorded,
    check_called,
    first_line,
    from_model,
    named_outputs,
    same_random_numbers,
    to_model,
    whole_numbers,
)

_ONE_PRECISION = " If it works in float32 alone, compare with precision='float32'."
_ADVICE = (
    "The comparison runs copies of the model (copy.deepcopy), so that it never changes it. Look for a forward or a "
    "hook that was put on the model and refers to something outside of it, for a __deepcopy__ of its own, and for "
    "random numbers in inference."
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
        """As `Side.run`. Hooks are copied with the model and run; the model itself runs once, to check its copies."""
        torch: Any = import_module("torch")
        devices = [torch.cuda.current_device()] if device is Device.CUDA and torch.cuda.is_available() else []
        with (
            device_of(Backend.TORCH, device),
            same_random_numbers(),
            torch.random.fork_rng(devices=devices),
            torch.no_grad(),
            _as_it_was(self._model),
        ):
            found = {
                precision: self._recorded(self._copied(precision, device), inputs, names, precision, device)
                for precision in precisions
            }
            self._check_copies(inputs, found, device)
            return found

    def _check_copies(self, inputs: Array, found: Mapping[Precision, Recorded], device: Device) -> None:
        torch: Any = import_module("torch")
        tensors: list[Any] = [*self._model.parameters(), *self._model.buffers()]
        types = {str(tensor.dtype).removeprefix("torch.") for tensor in tensors if tensor.is_floating_point()}
        types = types or {Precision.FLOAT32.value}
        where = tensors[0].device if tensors else device.value
        same = next((precision for precision in found if types == {precision.value}), None)
        first = next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)
        part = inputs if same is not None else inputs[:PART]
        own = self._run_as_it_is(self._model, part, first, where)
        made = (
            found[same].outputs
            if same is not None
            else self._run_as_it_is(self._copied(None, None), part, first, where)
        )
        check_faithful(self.title, own, made, types=types, advice=_ADVICE)

    def _run_as_it_is(self, model: Any, inputs: Array, dtype: Any, where: Any) -> dict[str, Array]:
        torch: Any = import_module("torch")
        given = torch.from_numpy(to_model(inputs, self._layout, Precision.FLOAT64)).to(where)
        if given.is_floating_point():
            given = given.to(dtype)
        try:
            result = model(given)
        except (RuntimeError, TypeError, ValueError) as error:
            raise UnusableModel(
                f"{self.title} cannot be run as it is, to check that its copy computes the same: {first_line(error)}. "
                "Its weights have to be of one type and on one device."
            ) from error
        return {name: self._array(value) for name, value in named_outputs(result).items()}

    def _copied(self, precision: Precision | None, device: Device | None) -> Any:
        """A copy in another type and on another device; None: those of the model."""
        torch: Any = import_module("torch")
        dtype = None if precision is None else getattr(torch, precision.value)
        try:
            made = copy.deepcopy(self._model).eval()
            return made if device is None else made.to(device=device.value, dtype=dtype)
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
                f"{first_line(error)}.{whole_numbers(inputs) or _ONE_PRECISION}"
            ) from error
        check_called(names, calls, self.title)
        return Recorded(
            values=values,
            outputs={name: self._array(value) for name, value in named_outputs(result).items()},
            layout=self._layout,
        )

    def _array(self, tensor: Any) -> Array:
        # A copy at once: activations that work in place change what the module before them gave.
        torch: Any = import_module("torch")
        known = tensor.float() if tensor.dtype is torch.bfloat16 else tensor  # which NumPy does not know
        return from_model(known.detach().cpu().numpy(), self._layout).copy()


@contextmanager
def _as_it_was(model: Any) -> Generator[None]:
    """A model in inference mode that has its modes and its buffers back afterwards."""
    torch: Any = import_module("torch")
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for buffer, before in buffers:
            if not torch.equal(buffer, before):
                buffer.copy_(before)
