"""Run a checkpoint on images or on an array, and say what it sees."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import OutputError, SourceOptions
from converters.formats.staging import StagedFile, check_output
from effnet.backends import Network, runner
from effnet.choices import Backend, Device, Precision
from effnet.errors import NotFiniteLogits
from effnet.files import check_no_input
from effnet.guessing import Guess, best, not_finite
from effnet.inputs import batches, classify
from effnet.loading import load_network, usual_backend
from effnet_core import Classifier, InvalidOption, described

_BATCH = 8
"""Images that are in memory at a time."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the network sees in one image."""

    name: str
    top: tuple[Guess, ...]
    """The most probable classes first."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The result of `predict`."""

    network: Network = field(repr=False)
    backend: Backend
    items: tuple[Prediction, ...]
    logits: NDArray[Any] = field(repr=False)
    """(N, classes) in the precision that was asked for."""


def predict(
    checkpoint: str | Path | Network,
    inputs: str | Path | Sequence[str | Path],
    *,
    options: SourceOptions | None = None,
    backend: Backend | str | None = None,
    dtype: Precision | str = Precision.FLOAT32,
    device: Device | str = Device.CPU,
    top: int = 5,
) -> Predictions:
    """Classify an image, several images, or the rows of one `.npy` of normalised input (N, H, W, C).

    Everything stays in memory; `predict_many` takes folders and any number of images.
    Without `backend` the checkpoint runs in the framework that it belongs to. Raises `InputError` for inputs that
    cannot be used, `NotFiniteLogits` naming the image for which the network gives no numbers, `InvalidOption` (also for
    a network without classifier),
    `MissingFramework`, `DeviceUnavailable`, and what `load_network` raises.
    """
    if top < 1:
        raise InvalidOption(f"The {top} most probable classes are asked for; expected at least 1.")
    sources, precision, where = classify(inputs), Precision(dtype), Device(device)
    named = None if backend is None else Backend(backend)
    network = checkpoint if isinstance(checkpoint, Network) else load_network(checkpoint, options=options)
    classifier = classifier_of(network)
    chosen = usual_backend(network) if named is None else named
    items: list[Prediction] = []
    logits: list[NDArray[Any]] = []
    with runner(network, endpoints=["logits"], backend=chosen, precision=precision, device=where) as run:
        for names, batch in batches(sources, network.spec, size=_BATCH):
            rows = run(batch)["logits"]
            _check_finite(rows, names, batch)
            logits.append(rows)
            offset = classifier.label_offset
            items += [
                Prediction(name=name, top=best(row, top, label_offset=offset))
                for name, row in zip(names, rows, strict=True)
            ]
    return Predictions(network=network, backend=chosen, items=tuple(items), logits=np.concatenate(logits))


def check_logits_output(target: Path, *, overwrite: bool, sources: Iterable[str | Path]) -> None:
    """Raise `OutputError` unless logits can be written as `target`: a `.npy`, and none of the files that are read."""
    if target.suffix.lower() != ".npy":
        raise OutputError(
            f"{target} does not end with .npy, the format of logits, nor with .csv or .parquet, those of tables."
        )
    check_output(target, overwrite=overwrite)
    check_no_input(target, sources)


def save_logits(logits: NDArray[Any], target: Path, *, overwrite: bool) -> None:
    """Write the logits as a `.npy`, whole or not at all. Raises `OutputError` when it cannot be written."""
    buffer = io.BytesIO()
    np.save(buffer, logits)
    with StagedFile(target, overwrite=overwrite, sync=False) as staged:
        staged.write(buffer.getvalue())
        staged.commit()


def classifier_of(network: Network) -> Classifier:
    """The network's classifier. Raises `InvalidOption` when it has none."""
    if network.spec.classifier is None:
        raise InvalidOption(
            f"{network.name} holds {described(network.spec)}: there is nothing to predict. Name a checkpoint with a "
            f"classifier; `effnet.load_model` gives the features of this one."
        )
    return network.spec.classifier


def _check_finite(logits: NDArray[Any], names: Sequence[str], batch: NDArray[Any]) -> None:
    for name, row, image in zip(names, logits, batch, strict=True):
        problem = not_finite(row, image)
        if problem is not None:
            raise NotFiniteLogits(f"{name}: {problem}")
