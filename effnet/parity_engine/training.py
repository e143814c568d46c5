"""Two networks trained side by side: the same weights, images, labels and masks, in both precisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from converters import SourceOptions
from effnet.backends import Network
from effnet.choices import Backend, Device, Precision
from effnet.errors import InputError
from effnet.frameworks import check_trainable, import_frameworks
from effnet.parity_engine import causes
from effnet.parity_engine.causes import Cause
from effnet.parity_engine.explanation import Explanation
from effnet.parity_engine.run import Given, RandomInput, Side, chosen_backends, given_input, opened, side
from effnet.parity_engine.specs import check_comparable
from effnet.parity_engine.trainee import USUAL, Array, Course, Stepper, StepRecord, Trainee, check_labels, stepper
from effnet.parity_engine.training_compare import Difference, StepComparison, compare_step, first_difference
from effnet_core import Family, MaskSite, NetworkSpec, TrainingRecipe, classifier_of, training_recipe

FLOAT64_LIMIT = 1e-9


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """The result of `training_parity`."""

    a: Side
    b: Side
    device: Device
    input: str
    notes: tuple[str, ...]
    limit: float
    sites: tuple[MaskSite, ...]
    """Where `a` drops values."""
    steps: tuple[StepComparison, ...]
    difference: Difference | None
    causes: tuple[Cause, ...]
    """What explains the difference, and layers that drop otherwise."""

    @property
    def agrees(self) -> bool:
        """True when every tensor of every step agrees in float64 and both sides drop alike."""
        return self.difference is None and not self.causes


def training_parity(
    a: str | Path | Network,
    b: str | Path | Network,
    *,
    steps: int = 10,
    recipe: str | TrainingRecipe | None = None,
    a_options: SourceOptions | None = None,
    b_options: SourceOptions | None = None,
    a_backend: Backend | str | None = None,
    b_backend: Backend | str | None = None,
    a_trainee: Trainee = USUAL,
    b_trainee: Trainee = USUAL,
    inputs: Given | None = None,
    labels: NDArray[np.integer] | None = None,
    device: Device | str = Device.CPU,
    limit: float = FLOAT64_LIMIT,
) -> TrainingReport:
    """Train two networks side by side for `steps` steps and compare loss, gradients, statistics, weights and averages.

    Both get the same batch at every step, and masks of dropout and drop-connect drawn by the rates and shapes that each
    side's own layers have, from the seed of `RandomInput`, else from 0. `recipe` is a published one by name
    (`effnet_core.TRAINING_RECIPES`), by default that of the network's family; its schedule runs in a nutshell, with one
    step for each epoch, so that ten steps see warm-up (the first has rate 0) and decay. `labels` are class numbers
    (N,), by default random. A `Trainee` says what is different on one side: a model or an optimiser of one's own. Both
    run in this process.

    The verdict is that of float64; float32 is measured beside it. Raises what `effnet.parity` raises, `InvalidOption`
    for an unknown recipe, and `InputError` for labels or steps that cannot be.
    """
    where = Device(device)
    if steps < 1:
        raise InputError(f"{steps} steps are asked for; expected at least 1.")
    network_a, network_b = opened(a, a_options), opened(b, b_options)
    backend_a, backend_b = chosen_backends(network_a, network_b, a_backend, b_backend)
    check_trainable((backend_a, backend_b), wanted="A comparison of training")
    notes = check_comparable(network_a.spec, network_b.spec)
    classes = classifier_of(network_a.spec, wanted="a loss").num_classes
    classifier_of(network_b.spec, wanted="a loss")
    given = RandomInput(images=4) if inputs is None else inputs
    seed = given.seed if isinstance(given, RandomInput) else 0
    batch, description = given_input(given, network_a.spec)
    if len(batch) < 2:
        raise InputError("The statistics of a batch need at least 2 images; found 1. Give more: --batch 4.")
    chosen = labels if labels is not None else np.random.default_rng([seed, 1]).integers(classes, size=len(batch))
    course = _course(network_a.spec, recipe, steps=steps, shape=batch.shape)
    import_frameworks([backend_a, backend_b])
    race = _Race(
        networks=(network_a, network_b),
        trainees=(a_trainee, b_trainee),
        backends=(backend_a, backend_b),
        course=course,
        batch=batch,
        labels=check_labels(chosen, images=len(batch), classes=classes),
        seed=seed,
        device=where,
        limit=limit,
    )
    found, sites, difference, explained = race.run()
    return TrainingReport(
        a=side(network_a, backend_a),
        b=side(network_b, backend_b),
        device=where,
        input=description,
        notes=notes,
        limit=limit,
        sites=sites,
        steps=found,
        difference=difference,
        causes=explained,
    )


def _course(spec: NetworkSpec, recipe: str | TrainingRecipe | None, *, steps: int, shape: Sequence[int]) -> Course:
    if recipe is None:
        recipe = "v2" if spec.family is Family.V2 else "v1"
    rule = training_recipe(recipe) if isinstance(recipe, str) else recipe
    images, height, width, channels = shape
    rate = rule.schedule.learning_rate(batch_size=256, steps_per_epoch=1, total_steps=max(steps, 10))
    return Course(recipe=rule, learning_rate=rate, steps=steps, input_shape=(images, height, width, channels))


@dataclass(frozen=True, kw_only=True)
class _Race:
    """Everything about the two trainings."""

    networks: tuple[Network, Network]
    trainees: tuple[Trainee, Trainee]
    backends: tuple[Backend, Backend]
    course: Course
    batch: Array
    labels: Array
    seed: int
    device: Device
    limit: float

    def run(self) -> tuple[tuple[StepComparison, ...], tuple[MaskSite, ...], Difference | None, tuple[Cause, ...]]:
        """Both precisions in step, so that no more than the steps before the first difference are kept."""
        with ExitStack() as open_:
            steppers = {
                precision: tuple(open_.enter_context(self._stepper(side, precision)) for side in (0, 1))
                for precision in Precision
            }
            sites = steppers[Precision.FLOAT64][0].sites
            explained = list(causes.of_sites(sites, steppers[Precision.FLOAT64][1].sites))
            explained += causes.of_recipes(*(trainee.recipe or self.course.recipe for trainee in self.trainees))
            compared: list[StepComparison] = []
            history: list[tuple[StepRecord, StepRecord]] = []
            difference: Difference | None = None
            for number in range(self.course.steps):
                records = {
                    precision: tuple(self._step(each, number) for each in both) for precision, both in steppers.items()
                }
                wide, narrow = ((pair[0], pair[1]) for pair in (records[Precision.FLOAT64], records[Precision.FLOAT32]))
                compared.append(compare_step(number, wide, narrow, limit=self.limit))
                if difference is None:
                    history.append(wide)
                    difference = first_difference(compared[-1], wide)
                    if difference is not None:
                        explained += self._explain(history, compared[-1])
                        history.clear()
        return tuple(compared), sites, difference, tuple(dict.fromkeys(explained))

    def _explain(self, history: Sequence[tuple[StepRecord, StepRecord]], last: StepComparison) -> Iterator[Cause]:
        return Explanation(
            networks=self.networks,
            course=self.course,
            labels=self.labels,
            limit=self.limit,
            history=history,
            kinds=last.kinds,
        ).causes()

    def _stepper(self, side: int, precision: Precision) -> AbstractContextManager[Stepper]:
        return stepper(
            self.networks[side],
            self.trainees[side],
            self.course,
            backend=self.backends[side],
            precision=precision,
            device=self.device,
        )

    def _step(self, trainee: Stepper, number: int) -> StepRecord:
        masks = {site.name: draw_mask(site, step=number, seed=self.seed) for site in trainee.sites}
        return trainee.step(self.batch, self.labels, masks)


def draw_mask(site: MaskSite, *, step: int, seed: int) -> Array:
    """The mask of a layer at a step, channels last: 1 where a value stays, with the probability 1 - rate, else 0."""
    random = np.random.default_rng([seed, step, crc32(site.name.encode())])
    return (random.random(site.shape) >= site.rate).astype(np.float64)
