"""Run the source and the result of a conversion on the same input, and write down what came out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import converters
from converters import Adaptation, Checkpoint, SourceOptions, TargetOptions
from converters.convert import DTYPES
from converters.formats import output_format
from converters.formats.staging import StagedFile, check_output
from converters.layouts import cast
from effnet.backends import Network
from effnet.certificate.measuring import (
    array_digest,
    certified_layers,
    checkpoint_files,
    file_digest,
    last_output,
    layer_outputs,
    relative,
)
from effnet.certificate.schema import (
    Certificate,
    CertifiedInput,
    CertifiedNetwork,
    certificate_path,
    to_text,
)
from effnet.choices import Backend, Device
from effnet.environment import environment
from effnet.errors import UnverifiedResult
from effnet.formats import KERAS, asks_for_keras
from effnet.frameworks import check_installed
from effnet.inputs import random_input
from effnet.loading import HOME
from effnet.parity_engine.compare import Array, Limits, Outputs
from effnet.parity_engine.report import verdict
from effnet.parity_engine.run import ParityReport, RandomInput, parity
from effnet.sources import Source, is_official
from effnet_core import EffnetError

LIMIT_FLOAT64, LIMIT_FLOAT32 = 1e-11, 1e-5
"""Of the largest value of a layer, which a certificate states and its repetition is held to."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A conversion that was done, as it has to be known to repeat it."""

    source: Source
    target: Path
    adaptation: Adaptation
    dtype: str | None
    """The type that they are written in, None where weights keep theirs."""
    notes: tuple[str, ...]
    """Of the conversion."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """A network that was read, and its file."""

    network: Network
    """As it is run."""
    weights: str
    """Digest of the weights in the file."""
    dialect: str
    files: tuple[Path, ...]
    rounded_to: str | None = None
    """The type that the weights were rounded to after they were read, None where no number changed."""


def backends(source: str, result: str) -> tuple[Backend, Backend]:
    """Which framework runs a source of a format, and which one its result.

    The one that the format belongs to. A source that belongs to none runs in TensorFlow, such a result in the other one
    than its source, where that is installed. Raises `MissingFramework`.
    """
    first = HOME.get(source, Backend.TF)
    other = Backend.TORCH if first is Backend.TF else Backend.TF
    package = "torch" if other is Backend.TORCH else "tensorflow"
    second = HOME.get(result, other if find_spec(package) is not None else first)
    check_installed((first, second))
    return first, second


def check_before(source: Source, target: Path, wanted: TargetOptions) -> None:
    """Refuse before anything is converted what could not be certified afterwards.

    Raises `OutputError` where the certificate exists and is not to be overwritten, and `MissingFramework`.
    """
    check_output(certificate_path(target), overwrite=wanted.overwrite)
    with converters.open_checkpoint(source.path, source.options) as opened:
        written = KERAS if asks_for_keras(target, wanted.to_format) else wanted.to_format or output_format(target)
        backends(opened.format, written)


def certify_result(work: Work, *, overwrite: bool, sync: bool) -> tuple[Certificate, Path]:
    """Certify a file that was just written, and put the certificate beside it.

    Raises `UnverifiedResult` where the two cannot be compared, and `OutputError` where the disk refuses.
    """
    try:
        certificate = certify(work, RandomInput())
    except EffnetError as error:
        raise UnverifiedResult(
            f"{work.target} was written and stays, but it could not be verified, and has no certificate: {error}"
        ) from error
    return certificate, write_certificate(certificate, work.target, overwrite=overwrite, sync=sync)


def certify(work: Work, given: RandomInput) -> Certificate:
    """Read both files, run them, compare every intermediate result; nothing is written.

    Raises what `effnet.parity` raises.
    """
    source, result = read_source_side(work), read_side(work.target, SourceOptions(), name=str(work.target))
    chosen = backends(source.network.format or "", result.network.format or "")
    found = compared(source, result, chosen, given)
    if found.outputs is None:
        raise AssertionError("parity was asked to keep its outputs")
    folder = work.target.parent
    comparison = found.comparison
    numbers = random_numbers(given, result.network)
    return Certificate(
        agrees=found.agrees,
        verdict=tuple(verdict(comparison)),
        first_difference=comparison.first_difference,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        commands=_commands(work, chosen, given, rounded=source.rounded_to is not None),
        rounded_to=source.rounded_to,
        adaptation=work.adaptation,
        notes=tuple(dict.fromkeys((*work.notes, *_own_notes(source), *found.notes))),
        device=found.device,
        limit_float64=LIMIT_FLOAT64,
        limit_float32=LIMIT_FLOAT32,
        images=comparison.images,
        same_argmax=comparison.same_argmax,
        source=_certified(source, work.source, chosen[0], found.outputs[0], folder=folder),
        result=_certified(
            result,
            Source(name=str(work.target), path=work.target, options=SourceOptions()),
            chosen[1],
            found.outputs[1],
            folder=folder,
        ),
        input=CertifiedInput(seed=given.seed, shape=numbers.shape, sha256=array_digest(numbers)),
        layers=certified_layers(comparison),
        environment=environment(),
    )


def write_certificate(certificate: Certificate, target: Path, *, overwrite: bool, sync: bool) -> Path:
    """Put the certificate of a converted file beside it, whole or not at all. Raises `OutputError`."""
    path = certificate_path(target)
    with StagedFile(path, overwrite=overwrite, sync=sync) as staged:
        staged.write(to_text(certificate).encode())
        staged.commit()
    return path


def compared(
    source: Side,
    result: Side,
    chosen: tuple[Backend, Backend],
    given: RandomInput,
    *,
    limits: Limits = Limits(float64=LIMIT_FLOAT64, float32=LIMIT_FLOAT32),  # noqa: B008  # frozen
) -> ParityReport:
    """The comparison of both sides, with what both gave."""
    return parity(
        source.network,
        result.network,
        a_backend=chosen[0],
        b_backend=chosen[1],
        inputs=given,
        device=Device.CPU,
        limits=limits,
        keep_outputs=True,
    )


def random_numbers(given: RandomInput, network: Network) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The input that `RandomInput` stands for."""
    channels = network.spec.stem.in_channels
    return random_input(images=given.images, size=given.size, channels=channels, seed=given.seed)


def read_source_side(work: Work) -> Side:
    """The source as it has to be to equal the result: adapted, and rounded to the type of the result's weights."""
    side = read_side(work.source.path, work.source.options, name=work.source.name, adaptation=work.adaptation)
    if work.dtype is None:
        return side
    state = {name: rounded(array, DTYPES[work.dtype]) for name, array in side.network.state.items()}
    if all(np.array_equal(state[name], array, equal_nan=True) for name, array in side.network.state.items()):
        return side
    return replace(side, network=replace(side.network, state=state), rounded_to=work.dtype)


def rounded(array: Array, dtype: np.dtype[Any]) -> Array:
    """The array with the numbers that a file of another type would hold; its own type is kept."""
    return array if dtype.itemsize > array.dtype.itemsize else cast(cast(array, dtype), array.dtype)


def read_side(path: Path, options: SourceOptions, *, name: str, adaptation: Adaptation | None = None) -> Side:
    """A checkpoint, its network and the digest of its weights. Raises what `converters.open_checkpoint` raises."""
    with converters.open_checkpoint(path, options) as opened:
        weights = converters.digest(opened).value
        files, dialect = checkpoint_files(opened), opened.dialect.name
        network = _network(opened if adaptation is None else converters.adapt(opened, adaptation), name)
    return Side(network=network, weights=weights, dialect=dialect, files=files)


def _network(checkpoint: Checkpoint, name: str) -> Network:
    return Network(
        spec=checkpoint.spec,
        state=checkpoint.state(),
        name=name,
        format=checkpoint.format,
        notes=checkpoint.notes,
    )


def _certified(side: Side, source: Source, backend: Backend, outputs: Outputs, *, folder: Path) -> CertifiedNetwork:
    beside = None if is_official(source.name) else folder
    return CertifiedNetwork(
        name=source.name,
        path=None if beside is None else relative(source.path, beside),
        files=tuple(file_digest(file, folder=beside) for file in side.files),
        format=side.network.format or "",
        dialect=side.dialect,
        options=source.options,
        weights=side.weights,
        backend=backend,
        notes=(*source.notes, *side.network.notes),
        layers=layer_outputs(outputs),
        last=last_output(outputs),
    )


def _own_notes(source: Side) -> tuple[str, ...]:
    if source.rounded_to is None:
        return ()
    return (
        f"The weights were rounded to {source.rounded_to} as they were written; the source's were rounded likewise "
        "before it was run, so that the comparison does not show what rounding them does.",
    )


def _commands(work: Work, chosen: tuple[Backend, Backend], given: RandomInput, *, rounded: bool) -> tuple[str, ...]:
    """`effnet verify`, and `effnet parity` where the files as they are give the same comparison."""
    verify = ["effnet", "verify", str(certificate_path(work.target))]
    if work.adaptation != Adaptation() or rounded or work.source.options != SourceOptions():
        return (shlex.join(verify),)
    parts = ["effnet", "parity", work.source.name, str(work.target), "--a-backend", chosen[0], "--b-backend", chosen[1]]
    parts += ["--size", str(given.size), "--batch", str(given.images), "--seed", str(given.seed)]
    return shlex.join(verify), shlex.join(parts)
