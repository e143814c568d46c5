"""A training in a worker: all its steps there, their records here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar

import numpy as np

from effnet.backends import Network
from effnet.choices import Backend, Device, Precision
from effnet.isolation.exchange import Group, Groups
from effnet.isolation.process import Worker, answered
from effnet.parity_engine.trainee import USUAL, Course, Lane, StepRecord, lane
from effnet.plain import plain
from effnet_core import (
    Decay,
    Decayed,
    LearningRate,
    MaskSite,
    MovingAverage,
    RmsProp,
    Schedule,
    Sgd,
    TrainingRecipe,
    WeightDecay,
)
from effnet_core.serialization import from_json, to_json

_T = TypeVar("_T")
_PARTS = ("gradients", "variables", "averages")


def lanes(
    worker: Worker,
    network: Network,
    course: Course,
    *,
    backend: Backend,
    device: Device,
    precisions: Sequence[Precision],
    open_: ExitStack,
) -> dict[Precision, Lane]:
    """Train a network in a worker from the first step to the last; its records, as long as `open_` is open.

    They wait in files, not in memory. Raises what `answered` raises.
    """
    values = {
        "task": "training",
        "name": network.name,
        "spec": to_json(network.spec),
        "backend": backend.value,
        "device": device.value,
        "precisions": [precision.value for precision in precisions],
        "recipe": plain(course.recipe),
        "learning_rate": plain(course.learning_rate),
        "steps": course.steps,
        "seed": course.seed,
    }
    given = {"images": course.batch, "labels": course.labels}
    _, found = open_.enter_context(answered(worker, values, {"state": network.state, "input": given}))
    return {precision: _Recorded(found, precision.value) for precision in precisions}


class _Recorded:
    """A training that a worker has made."""

    def __init__(self, found: Groups, precision: str) -> None:
        self._found, self._precision = found, precision
        self.sites = tuple(
            MaskSite(name=name, rate=float(numbers[0]), shape=tuple(int(side) for side in numbers[1:]))
            for name, numbers in found[f"{precision}-sites"].items()
        )

    def step(self, number: int) -> StepRecord:
        """The record of a step."""
        step = f"{self._precision}-{number}"
        results = self._found[f"{step}-results"]
        gradients, variables, averages = (self._found[f"{step}-{part}"] for part in _PARTS)
        return StepRecord(
            learning_rate=float(results["learning_rate"]),
            loss=float(results["loss"]),
            logits=results["logits"],
            gradients=gradients,
            variables=variables,
            averages=averages,
        )


def answer(values: Mapping[str, Any], groups: Groups) -> tuple[None, Iterator[Group]]:
    """Train: the worker's part."""
    return None, _trained(values, groups)


def _trained(values: Mapping[str, Any], groups: Groups) -> Iterator[Group]:
    network = Network(spec=from_json(values["spec"]), state=groups["state"], name=values["name"])
    given = groups["input"]
    course = Course(
        recipe=_recipe(values["recipe"]),
        learning_rate=_with(LearningRate, values["learning_rate"], decay=Decay),
        steps=values["steps"],
        batch=given["images"],
        labels=given["labels"],
        seed=values["seed"],
    )
    for precision in values["precisions"]:
        with lane(
            network,
            USUAL,
            course,
            backend=Backend(values["backend"]),
            precision=Precision(precision),
            device=Device(values["device"]),
        ) as running:
            yield f"{precision}-sites", {site.name: np.array([site.rate, *site.shape]) for site in running.sites}
            for number in range(course.steps):
                record = running.step(number)
                results = {"learning_rate": np.array(record.learning_rate), "loss": np.array(record.loss)}
                yield f"{precision}-{number}-results", {**results, "logits": record.logits}
                for part in _PARTS:
                    yield f"{precision}-{number}-{part}", getattr(record, part)


def _recipe(values: Mapping[str, Any]) -> TrainingRecipe:
    """The recipe from its plain values."""
    optimizer, weights, average = values["optimizer"], values["weight_decay"], values["moving_average"]
    return TrainingRecipe(
        optimizer=RmsProp(**optimizer) if "epsilon" in optimizer else Sgd(**optimizer),
        weight_decay=None
        if weights is None
        else WeightDecay(rate=weights["rate"], tensors=Decayed(weights["tensors"])),
        label_smoothing=values["label_smoothing"],
        moving_average=None if average is None else MovingAverage(**average),
        schedule=_with(Schedule, values["schedule"], decay=Decay),
        batch_size=values["batch_size"],
        epochs=values["epochs"],
    )


def _with(kind: Callable[..., _T], values: Mapping[str, Any], **choices: Callable[[str], Any]) -> _T:
    """A dataclass from its plain values; `choices` are the enums of its fields."""
    return kind(**{name: choices[name](value) if name in choices else value for name, value in values.items()})
