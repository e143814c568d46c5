"""A Keras model as one side of a comparison, in Keras' TensorFlow or PyTorch backend."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any, cast

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

_BACKENDS = {"tensorflow": Backend.TF, "torch": Backend.TORCH}
# Not "cpu:0": Keras on PyTorch then copies parameters, and cannot make layers with states that are whole numbers.
_DEVICES = {Device.CPU: "cpu", Device.CUDA: "gpu:0"}
_ADVICE = (
    "The comparison runs copies of the model, made from its configuration (get_config), so that it never changes it. "
    "Layers of your own need a get_config that says everything they compute with; attributes and functions that are "
    "set after a layer is made are not copied: make them arguments of a layer."
)


class KerasSide:
    """A model; it takes and gives images as Keras is configured, unless `layout` says otherwise."""

    def __init__(self, model: Any, layout: Layout | None) -> None:
        keras: Any = import_module("keras")
        self._model = model
        self._layout = layout or Layout(keras.config.image_data_format())
        self._backend: str = keras.backend.backend()

    @property
    def title(self) -> str:
        """Its name."""
        return f"{self._model.name} in Keras ({self._backend})"

    def endpoints(self) -> Mapping[str, str]:
        """Layers of an EfficientNet of this project begin with their endpoint's name; the last of them gives it."""
        # Keras on PyTorch has dashes for dots, which PyTorch does not allow.
        dashed = self._backend == "torch"
        names = {name.replace("-", ".") if dashed else name: name for name in (one.name for one in self._model.layers)}
        if "stem.conv" not in names or not any(name.startswith("blocks.0.") for name in names):
            return {}
        found: dict[str, str] = {}
        for name, layer in names.items():
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                found[".".join(parts[:length])] = layer
        return {"logits" if name == "classifier" else name: layer for name, layer in found.items()}

    def run(
        self, inputs: Array, names: Sequence[str], *, precisions: Sequence[Precision], device: Device
    ) -> dict[Precision, Recorded]:
        """As `Side.run`. Copies are made from the model's configuration; the model itself runs once, to check them."""
        if not self._model.built:
            raise UnusableModel(f"{self.title} has no weights yet; expected a built model. Call it once on its input.")
        if self._backend not in _BACKENDS:
            raise UnusableModel(
                f"Keras runs on {self._backend!r} here; expected one of {', '.join(_BACKENDS)}. Set "
                "KERAS_BACKEND to one of them: the same model then runs there."
            )
        with _quiet_keras():
            return self._run(inputs, names, precisions, device)

    def _run(
        self, inputs: Array, names: Sequence[str], precisions: Sequence[Precision], device: Device
    ) -> dict[Precision, Recorded]:
        keras: Any = import_module("keras")
        with device_of(_BACKENDS[self._backend], device), keras.device(_DEVICES[device]), same_random_numbers():
            found: dict[Precision, Recorded] = {}
            for precision in precisions:
                with _usual_type(precision):
                    model = self._copied(inputs, precision)
                    found[precision] = self._recorded(model, inputs, names, precision)
        with device_of(_BACKENDS[self._backend], device), self._own_device(device), same_random_numbers():
            self._check_copies(inputs, found)
        return found

    def _check_copies(self, inputs: Array, found: Mapping[Precision, Recorded]) -> None:
        saving: Any = import_module("keras").saving
        config = saving.serialize_keras_object(self._model)
        same = next((precision for precision in found if _in_precision(config, precision) == config), None)
        types = {str(layer.compute_dtype) for layer in self._model._flatten_layers()}
        part, precision = (inputs[:PART], Precision.FLOAT32) if same is None else (inputs, same)
        given = to_model(part, self._layout, Precision.FLOAT64 if types == {"float64"} else precision)
        with _as_it_was(self._model):
            own = self._run_as_it_is(self._model, given)
        made = found[same].outputs if same is not None else self._run_as_it_is(self._copied(part, None), given)
        check_faithful(self.title, own, made, types=types, advice=_ADVICE)

    def _own_device(self, device: Device) -> AbstractContextManager[Any]:
        keras: Any = import_module("keras")
        weights: list[Any] = self._model.weights
        if self._backend != "torch" or not weights:  # TensorFlow takes weights to where it computes
            return keras.device(_DEVICES[device])
        return keras.device(_DEVICES[Device.CUDA if weights[0].value.is_cuda else Device.CPU])

    def _run_as_it_is(self, model: Any, given: Array) -> dict[str, Array]:
        try:
            result = model(given, training=False)
        except Exception as error:
            raise UnusableModel(
                f"{self.title} cannot be run as it is, to check that its copy computes the same: {first_line(error)}."
            ) from error
        return {name: self._array(value) for name, value in named_outputs(result).items()}

    def _copied(self, inputs: Array, precision: Precision | None) -> Any:
        """A copy in another type; None: in the model's own."""
        saving: Any = import_module("keras").saving
        try:
            config = saving.serialize_keras_object(self._model)
            config.pop("compile_config", None)
            layers: list[Any] = self._model._flatten_layers()
            custom: dict[str, Any] = {type(layer).__name__: type(layer) for layer in layers}
            model = saving.deserialize_keras_object(
                config if precision is None else _in_precision(config, precision),
                custom_objects=custom,
                safe_mode=False,
            )
            if len(model.weights) != len(self._model.weights):
                model(to_model(inputs, self._layout, precision or Precision.FLOAT32), training=False)  # which builds it
            model.set_weights(self._model.get_weights())
        except Exception as error:  # whatever a user's layer does
            raise UnusableModel(
                f"{self.title} cannot be made again in {precision or 'its own type'}: {first_line(error)}. {_ADVICE}"
            ) from error
        for layer in model._flatten_layers():
            if hasattr(layer, "finalize_state") and layer.weights:
                layer.finalize_state()  # Normalization computes with copies of its weights
        if precision is None:
            return model
        wrong = sorted({weight.dtype for weight in model.weights if "float" in weight.dtype} - {precision.value})
        if wrong:
            raise UnusableModel(
                f"Parts of {self.title} stay in {', '.join(wrong)} where {precision} was expected: a layer chooses its "
                f"type by itself. Compare with precision={wrong[0]!r}."
            )
        return model

    def _recorded(self, model: Any, inputs: Array, names: Sequence[str], precision: Precision) -> Recorded:
        keras: Any = import_module("keras")
        values: dict[str, Array] = {}
        calls: dict[str, int] = {}

        def keeping(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def keep(*arguments: Any, **options: Any) -> Any:
                output = call(*arguments, **options)
                if keras.ops.is_tensor(output):
                    calls[name] = calls.get(name, 0) + 1
                    values[name] = self._array(output)
                return output

            return keep

        for name, part in self._parts(model, names).items():
            part.call = keeping(name, part.call)
        given = to_model(inputs, self._layout, precision)
        try:
            result = model(given, training=False)
        except Exception as error:
            raise UnusableModel(
                f"{self.title} cannot be run in {precision} with input of shape {given.shape}: {first_line(error)}."
                f"{whole_numbers(inputs)}"
            ) from error
        check_called(names, calls, self.title)
        return Recorded(
            values=values,
            outputs={name: self._array(value) for name, value in named_outputs(result).items()},
            layout=self._layout,
        )

    def _parts(self, model: Any, names: Sequence[str]) -> dict[str, Any]:
        """The layers and operations of these names, or paths: `inner/conv` is `conv` of the model `inner`."""
        found: dict[str, list[Any]] = {}
        for path, part in _walk(model, ""):
            for name in {path, part.name}:
                found.setdefault(name, []).append(part)
        missing = [name for name in names if name not in found]
        if missing:
            raise UnusableModel(
                f"{self.title} has no layer named {', '.join(missing)}. Its layers: {', '.join(found)}."
            )
        several = [name for name in names if len(found[name]) > 1]
        if several:
            raise UnusableModel(
                f"{self.title} has several layers named {', '.join(several)}. Name a path, such as inner/{several[0]}."
            )
        return {name: found[name][0] for name in names}

    def _array(self, tensor: Any) -> Array:
        return from_model(import_module("keras").ops.convert_to_numpy(tensor), self._layout).copy()


def _walk(owner: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    parts = [*getattr(owner, "operations", ()), *owner._flatten_layers(include_self=False, recursive=False)]
    for part in {id(part): part for part in parts}.values():
        yield f"{prefix}{part.name}", part
        if hasattr(part, "_flatten_layers"):
            yield from _walk(part, f"{prefix}{part.name}/")


def _in_precision(config: Any, precision: Precision) -> Any:
    """A configuration whose layers compute in that type, as their variables are."""
    if isinstance(config, list | tuple):
        return [_in_precision(item, precision) for item in cast("Sequence[Any]", config)]
    if not isinstance(config, dict):
        return config
    known = cast("dict[str, Any]", config)
    if str(known.get("class_name", "")).endswith("DTypePolicy"):
        return {**known, "class_name": "DTypePolicy", "config": {"name": precision.value}}
    return {
        key: precision.value
        if key == "dtype" and isinstance(value, str) and "float" in value
        else _in_precision(value, precision)
        for key, value in known.items()
    }


@contextmanager
def _quiet_keras() -> Generator[None]:
    """Without the warning that Keras 3.15 gives where it reads its variables: a test may take warnings for errors."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "__array__ implementation doesn't accept a copy keyword", category=DeprecationWarning
        )
        yield


@contextmanager
def _as_it_was(model: Any) -> Generator[None]:
    """A model that has all its variables back afterwards: states, and seeds of random numbers."""
    keras: Any = import_module("keras")
    before = [(variable, keras.ops.convert_to_numpy(variable).copy()) for variable in model.variables]
    try:
        yield
    finally:
        for variable, value in before:
            if keras.ops.convert_to_numpy(variable).tobytes() != value.tobytes():
                variable.assign(value)


@contextmanager
def _usual_type(precision: Precision) -> Generator[None]:
    """Layers that say nothing about their type get this one, while the context is open."""
    config: Any = import_module("keras").config
    policy, floatx = config.dtype_policy(), config.floatx()
    config.set_dtype_policy(precision.value)
    config.set_floatx(precision.value)
    try:
        yield
    finally:
        config.set_dtype_policy(policy)
        config.set_floatx(floatx)
