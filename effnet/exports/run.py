"""`export`: a checkpoint as a file for other programs, checked by the programs that will read it."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import Adaptation, OutputError, SourceOptions, fold
from converters.changes.adaptation import NOTHING
from converters.dialects.native import NATIVE
from converters.formats.saved_model import add_metadata
from converters.metadata_keys import DIALECT_KEY, SPEC_KEY
from effnet.backends import Network
from effnet.errors import InputError, WrongExport
from effnet.exports.card import CARD, Contents, contents_of
from effnet.exports.options import ExportOptions, Kind, Quantize
from effnet.exports.place import place_of, staged
from effnet.exports.verification import TWINS, Verification, check_reader, judge_of, verify_export
from effnet.frameworks import import_frameworks
from effnet.images import load_image
from effnet.loading import load_network

Array = NDArray[Any]
_KEPT = 4


@dataclass(frozen=True, kw_only=True)
class Export:
    """What was written and what its readers made of it."""

    path: Path
    """The file, or the numbered folder."""
    kind: Kind
    network: str
    folded: bool
    nbytes: int
    notes: tuple[str, ...]
    verification: Verification


def export(
    checkpoint: str | Path | Network,
    target: str | Path,
    *,
    options: ExportOptions,
    source: SourceOptions | None = None,
    adaptation: Adaptation = NOTHING,
) -> Export:
    """Write a checkpoint as `options.kind` says, and check it with every installed runtime that reads such files.

    `target` is a file with the ending of its kind, or, for model servers (`savedmodel`, `onnx`), the folder of a
    model, in which versions are numbered. The result gets its place when the check has passed.

    The definition, the labels and a card with the digest of the weights stand inside. Raises `WrongExport` when a
    runtime gives other results than rounding explains (nothing is left then), `InputError` for options and calibration
    images that cannot be used, `MissingFramework`, `converters.OutputError`, and what `load_network` raises.
    """
    # Before anything that takes time.
    place_of(Path(target), options)
    check_reader(options.kind)
    network = (
        checkpoint
        if isinstance(checkpoint, Network)
        else load_network(checkpoint, options=source, adaptation=adaptation)
    )
    # Together, for the sake of their order.
    import_frameworks({TWINS[options.kind], judge_of(options.kind)})
    calibration, photographs = _calibration(network, options)
    ready = network
    if options.fold and network.spec.norm is not None:
        spec, state = fold(network.spec, network.state)
        ready = replace(network, spec=spec, state=state, source=None)
    contents = contents_of(network, ready.spec, options)
    with staged(Path(target), options) as staging:
        path = staging.path
        write(ready, path, options, contents, calibration)
        nbytes = sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size
        found = verify_export(network, path, options, photographs)
        if not found.agrees:
            raise WrongExport(_differences(staging.place, found))
    return Export(
        path=staging.place,
        kind=options.kind,
        network=network.spec.name,
        folded=ready.spec.norm is None,
        nbytes=nbytes,
        notes=(*network.notes, *contents.notes, *found.notes),
        verification=found,
    )


def write(network: Network, path: Path, options: ExportOptions, contents: Contents, calibration: Array | None) -> None:
    """Write the network at `path`, unchecked."""
    spec, state = network.spec, network.state
    match options.kind:
        case Kind.SAVEDMODEL:
            from effnet_tf.export import Answers, write_saved_model

            answers = Answers(labels=contents.labels, top=contents.top) if contents.answers_files else None
            with tempfile.TemporaryDirectory() as folder, _tensorflow_errors(path):
                write_saved_model(spec, state, path, answers=answers, assets=contents.write(Path(folder)))
            # So that the variables can be converted again like any other checkpoint.
            add_metadata(path, {SPEC_KEY: contents.spec, DIALECT_KEY: NATIVE.name})
        case Kind.ONNX:
            from effnet_onnx.export import write_model

            write_model(
                spec,
                state,
                path,
                input_size=options.size,
                labels=contents.labels if contents.named else None,
                texts={"effnet.card": contents.texts()[CARD]},
            )
        case Kind.TFLITE:
            from effnet_tf.export import Quantization, lite_model

            side = spec.preprocessing.resolution
            path.write_bytes(
                lite_model(
                    spec,
                    state,
                    size=options.size or (side, side),
                    quantization=Quantization(options.quantize.value),
                    calibration=() if calibration is None else [calibration],
                )
            )
            # As TensorFlow Lite's metadata packs files: an archive behind the flat buffer, which runtimes ignore.
            with zipfile.ZipFile(path, "a") as archive:
                for name, text in contents.texts().items():
                    archive.writestr(name, text)
        case Kind.TORCH_EXPORT:
            from effnet_torch.export import write_program

            write_program(spec, state, path, texts=contents.texts())
        case Kind.KERAS:
            from effnet.keras_archive import write_keras_archive

            write_keras_archive(network, path, dtype=None, overwrite=False, sync=True, texts=contents.texts())


@contextmanager
def _tensorflow_errors(path: Path) -> Generator[None]:
    """Turn what TensorFlow says of the disk into an `OutputError`."""
    errors: Any = import_module("tensorflow").errors
    try:
        yield
    except errors.OpError as error:
        raise OutputError(f"{path.name} cannot be written: {error.message}. Nothing was left behind.") from error


def _calibration(network: Network, options: ExportOptions) -> tuple[Array | None, Array | None]:
    """The images that scale 8-bit numbers, and those that these are tried on, as the network takes them, (N, H, W, C).

    Every fourth image is kept for the second, where there are so many.
    """
    if options.quantize is not Quantize.INT8:
        return None, None
    side = network.spec.preprocessing.resolution
    if options.size not in (None, (side, side)):
        raise InputError(
            f"Calibration images are prepared as the recipe says, {side} x {side} pixels; expected no other size, "
            f"found {options.size[0]} x {options.size[1]}."
        )
    images = np.stack([load_image(path, network.spec.preprocessing) for path in options.calibration])
    kept = np.arange(len(images)) % _KEPT == _KEPT - 1
    return (images[~kept], images[kept]) if kept.any() else (images, images)


def _differences(place: Path, found: Verification) -> str:
    wrong: Sequence[str] = [
        f"{check.reader} on {check.question}: {check.difference:.1e} of the largest value, where rounding makes "
        f"{check.rounding:.1e}"
        for check in found.checks
        if check.agrees is False
    ]
    return (
        f"{place} was not written, because what was made gives other results than the network. "
        + "; ".join(wrong)
        + "."
    )
