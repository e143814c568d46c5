"""Two networks trained side by side: the same weights, images, labels and masks, in both precisions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters import SourceOptions
from effnet.backends import Network
from effnet.choices import Backend, Device
from effnet.errors import InputError
from effnet.frameworks import check_trainable, import_frameworks
from effnet.parity_engine.causes import Cause
from effnet.parity_engine.compare import check_limit
from effnet.parity_engine.pair import Processes, workers
from effnet.parity_engine.race import Competitor, Race
from effnet.parity_engine.run import Given, RandomInput, Side, chosen_backends, given_input, one_framework, opened, side
from effnet.parity_engine.specs import check_both_normalised, check_comparable
from effnet.parity_engine.trainee import USUAL, Array, Course, Trainee, check_labels
from effnet.parity_engine.training_compare import Difference, StepComparison, TensorComparison
from effnet_core import (
    Family,
    InvalidOption,
    MaskSite,
    NetworkSpec,
    TrainingRecipe,
    classifier_of,
    training_recipe,
)

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
    recipe: TrainingRecipe
    """That of both sides, unless a `Trainee` has its own."""
    seed: int
    """Of the masks, and of labels that were not given."""
    labels: tuple[int, ...]
    sites: tuple[MaskSite, ...]
    """Where `a` drops values."""
    steps: tuple[StepComparison, ...]
    tensors: tuple[TensorComparison, ...]
    """Every tensor over all steps, in forward order, the loss first."""
    shaken_from: int | None
    """The step from which on float32 has lost so much that what rounding explains in float64 is measured by `a` trained
    once more, with other last bits of its weights; None: float32 tells it at every step."""
    difference: Difference | None
    causes: tuple[Cause, ...]
    """What explains the difference, and layers that drop otherwise."""

    @property
    def agrees(self) -> bool:
        """True when every tensor of every step agrees in float64 and both sides drop alike."""
        return self.difference is None and not self.causes


def training_parity(  # noqa: PLR0913  # each is a choice of its own
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
    processes: Processes | None = None,
) -> TrainingReport:
    """Train two networks side by side for `steps` steps and compare loss, gradients, statistics, weights and averages.

    Both get the same batch at every step, and masks of dropout and drop-connect drawn by the rates and shapes that each
    side's own layers have, from the seed of `RandomInput`, else from 0. `recipe` is a published one by name
    (`effnet_core.TRAINING_RECIPES`), by default that of the network's family; its schedule runs in a nutshell, with one
    step for each epoch, so that ten steps see warm-up (the first has rate 0) and decay. `labels` are class numbers
    (N,), by default random. A `Trainee` says what is different on one side: a model or an optimiser of one's own; such
    a one is trained in this process alone. `processes` says whether each has one of its own, as in `effnet.parity`.

    The verdict is that of float64; float32 is measured beside it. Raises what `effnet.parity` raises, `InvalidOption`
    for an unknown recipe or a limit that is no finite number, and `InputError` for labels or steps that cannot be.
    """
    where = Device(device)
    check_limit(limit, "The limit")
    if steps < 1:
        raise InputError(f"{steps} steps are asked for; expected at least 1.")
    network_a, network_b = opened(a, a_options), opened(b, b_options)
    backend_a, backend_b = chosen_backends(network_a, network_b, a_backend, b_backend)
    check_trainable((backend_a, backend_b), wanted="A comparison of training")
    notes = check_comparable(network_a.spec, network_b.spec)
    check_both_normalised(network_a.spec, network_b.spec, wanted="a comparison of training")
    classes = classifier_of(network_a.spec, wanted="a loss").num_classes
    classifier_of(network_b.spec, wanted="a loss")
    given = RandomInput(images=4) if inputs is None else inputs
    seed = given.seed if isinstance(given, RandomInput) else 0
    batch, description = given_input(given, network_a.spec)
    if len(batch) < 2:
        raise InputError("The statistics of a batch need at least 2 images; found 1. Give more: --batch 4.")
    chosen = labels if labels is not None else np.random.default_rng([seed, 1]).integers(classes, size=len(batch))
    classes_of = check_labels(chosen, images=len(batch), classes=classes)
    course = _course(network_a.spec, recipe, steps=steps, batch=batch, labels=classes_of, seed=seed)
    apart = workers((network_a, network_b), (backend_a, backend_b), Processes() if processes is None else processes)
    if apart is None:
        import_frameworks([backend_a, backend_b])
    elif (a_trainee, b_trainee) != (USUAL, USUAL):
        raise InvalidOption(
            "A Trainee holds functions, which act in this process alone, and the networks are to run in others. "
            f"{apart.reason} Leave the trainees out, or choose isolation 'never'."
        )
    worker_a, worker_b = (None, None) if apart is None else apart.workers
    competitors = (
        Competitor(network=network_a, trainee=a_trainee, backend=backend_a, worker=worker_a),
        Competitor(network=network_b, trainee=b_trainee, backend=backend_b, worker=worker_b),
    )
    found = Race(*competitors, course, device=where, limit=limit).run()
    return TrainingReport(
        a=side(network_a, backend_a),
        b=side(network_b, backend_b),
        device=where,
        input=description,
        notes=(
            *notes,
            *one_framework((backend_a, backend_b), (a_backend, b_backend)),
            *(() if apart is None else (apart.note,)),
        ),
        limit=limit,
        recipe=course.recipe,
        seed=seed,
        labels=tuple(int(one) for one in classes_of),
        sites=found.sites,
        steps=found.steps,
        tensors=found.tensors,
        shaken_from=found.shaken_from,
        difference=found.difference,
        causes=found.causes,
    )


def _course(
    spec: NetworkSpec, recipe: str | TrainingRecipe | None, *, steps: int, batch: Array, labels: Array, seed: int
) -> Course:
    if recipe is None:
        recipe = "v2" if spec.family is Family.V2 else "v1"
    rule = training_recipe(recipe) if isinstance(recipe, str) else recipe
    rate = rule.schedule.learning_rate(batch_size=256, steps_per_epoch=1, total_steps=max(steps, 10))
    return Course(recipe=rule, learning_rate=rate, steps=steps, batch=batch, labels=labels, seed=seed)
