"""One network in training in one framework: numpy in, numpy out, with masks that are given."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from effnet.backends import Network, device_of
from effnet.choices import Backend, Device, Precision
from effnet.errors import InputError
from effnet.frameworks import check_trainable, import_frameworks
from effnet_core import LearningRate, MaskSite, NetworkSpec, TrainingRecipe

Array = NDArray[Any]
Arrays = Mapping[str, Array]
_EAGER_STEPS = 10
"""Compiling a training takes about as long as so many steps without."""


@dataclass(frozen=True, kw_only=True)
class Trainee:
    """How one side is made where it is not as this project makes it; None: as it does."""

    build: Callable[[NetworkSpec, Arrays, str], Any] | None = None
    """Gives a Keras model or a PyTorch module, with canonical names, for a definition, a canonical state and a type
    (float32 or float64)."""
    optimizer: Callable[[list[Any]], Any] | None = None
    """Gives an optimiser for the trained variables (Keras) or tensors (PyTorch), in forward order. Its learning rate is
    set before each step."""
    recipe: TrainingRecipe | None = None
    """Another recipe for this side alone."""


USUAL = Trainee()


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """What is to be compared after one step. Names and layouts are canonical."""

    learning_rate: float
    loss: float
    logits: Array
    gradients: Arrays
    variables: Arrays
    averages: Arrays


class Lane(Protocol):
    """A training, step by step from the first one."""

    sites: tuple[MaskSite, ...]
    """Where it drops values."""

    def step(self, number: int) -> StepRecord:
        """The next step; numbers count from 0 without gaps."""
        ...


class Stepper(Protocol):
    """A network that makes steps."""

    sites: tuple[MaskSite, ...]

    def step(self, images: Array, labels: Array, masks: Arrays) -> StepRecord:
        """One step on images (N, H, W, C) and class numbers (N,)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Course:
    """What both sides do."""

    recipe: TrainingRecipe
    learning_rate: LearningRate
    steps: int
    batch: Array
    """Normalised images (N, H, W, C), the same at every step."""
    labels: Array
    """Class numbers (N,), int64."""
    seed: int
    """Of the masks."""

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Of the batch."""
        images, height, width, channels = self.batch.shape
        return images, height, width, channels


@contextmanager
def lane(
    network: Network, trainee: Trainee, course: Course, *, backend: Backend, precision: Precision, device: Device
) -> Generator[Lane]:
    """The training in this process. Raises `MissingFramework` and `DeviceUnavailable`."""
    with stepper(network, trainee, course, backend=backend, precision=precision, device=device) as made:
        yield _Lane(made, course)


class _Lane:
    def __init__(self, made: Stepper, course: Course) -> None:
        self._made, self._course = made, course
        self.sites = made.sites

    def step(self, number: int) -> StepRecord:
        """The next step."""
        course = self._course
        masks = {site.name: draw_mask(site, step=number, seed=course.seed) for site in self.sites}
        return self._made.step(course.batch, course.labels, masks)


@contextmanager
def stepper(
    network: Network, trainee: Trainee, course: Course, *, backend: Backend, precision: Precision, device: Device
) -> Generator[Stepper]:
    """The network ready to train. Raises `MissingFramework` and `DeviceUnavailable`."""
    check_trainable([backend], wanted="Training")
    import_frameworks([backend])
    with device_of(backend, device):
        kind = _KerasStepper if backend is Backend.TF else _TorchStepper
        yield kind(network, trainee, course, precision=precision, device=device)


class _KerasStepper:
    def __init__(
        self, network: Network, trainee: Trainee, course: Course, *, precision: Precision, device: Device
    ) -> None:
        from effnet_tf import Masks, Trainer, create_model

        spec, state = network.spec, network.state
        build = trainee.build
        model: Any = create_model(spec, state, dtype=precision.value)
        if build is not None:
            model = build(spec, state, precision.value)
        self._precision = precision
        self._masks = Masks(model, input_shape=course.input_shape)
        self.sites = self._masks.sites
        trained = [variable for variable in model.trainable_variables if variable.trainable]
        self._trainer = Trainer(
            self._masks.model,
            spec,
            trainee.recipe or course.recipe,
            learning_rate=course.learning_rate,
            optimizer=None if trainee.optimizer is None else trainee.optimizer(trained),
            run_eagerly=course.steps <= _EAGER_STEPS,
        )

    def step(self, images: Array, labels: Array, masks: Arrays) -> StepRecord:
        """One step."""
        self._masks.give(masks)
        result = self._trainer.step(images.astype(self._precision.value), labels)
        return _record(self._trainer, result, float(result.loss), np.array(result.logits))


class _TorchStepper:
    def __init__(
        self, network: Network, trainee: Trainee, course: Course, *, precision: Precision, device: Device
    ) -> None:
        from effnet_torch import Masks, RunningVariance, Trainer, create_model

        self._torch: Any = import_module("torch")
        self._device = device.value
        spec, state = network.spec, network.state
        model: Any
        if trainee.build is None:
            model = create_model(spec, state, dtype=precision.value, running_variance=RunningVariance.BIASED)
        else:
            model = trainee.build(spec, state, precision.value)
        model = model.to(device.value).train()
        self._precision = precision
        self._masks = Masks(model, input_shape=course.input_shape)
        self.sites = self._masks.sites
        trained = [tensor for tensor in model.parameters() if tensor.requires_grad]
        self._trainer = Trainer(
            model,
            spec,
            trainee.recipe or course.recipe,
            learning_rate=course.learning_rate,
            optimizer=None if trainee.optimizer is None else trainee.optimizer(trained),
        )

    def step(self, images: Array, labels: Array, masks: Arrays) -> StepRecord:
        """One step."""
        self._masks.give(masks)
        nchw = images.astype(self._precision.value).transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
        tensors = (self._torch.from_numpy(np.ascontiguousarray(array)).to(self._device) for array in (nchw, labels))
        result = self._trainer.step(*tensors)
        return _record(self._trainer, result, result.loss.item(), result.logits.cpu().numpy())


def _record(trainer: Any, result: Any, loss: float, logits: Array) -> StepRecord:
    state = trainer.state()
    return StepRecord(
        learning_rate=result.learning_rate,
        loss=loss,
        logits=logits,
        gradients=trainer.gradients(),
        variables=state.variables,
        averages=state.averages or {},
    )


def check_labels(labels: Array, *, images: int, classes: int) -> Array:
    """Class numbers as int64, one for each image. Raises `InputError` for anything else."""
    if labels.shape != (images,) or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"The labels are {labels.dtype} of shape {labels.shape}; expected {images} class numbers from 0 to "
            f"{classes - 1}."
        )
    return labels.astype(np.int64)


def draw_mask(site: MaskSite, *, step: int, seed: int) -> Array:
    """The mask of a layer at a step, channels last: 1 where a value stays, with the probability 1 - rate, else 0."""
    random = np.random.default_rng([seed, step, crc32(site.name.encode())])
    return (random.random(site.shape) >= site.rate).astype(np.float64)
