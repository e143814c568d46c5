"""Training checkpoints as the official TensorFlow code writes and resumes them.

Beside every variable X of the network: `X/ExponentialMovingAverage`, moving statistics included; for the trained ones
the slots of the optimiser, `X/RMSProp` (mean square) and `X/RMSProp_1` (momentum), or `X/Momentum`; and `global_step`.

Source: tf.train.Saver in tensorflow/tpu models/official/efficientnet/main.py; names of slots from
tensorflow/python/training/{rmsprop,momentum,moving_averages}.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from converters.checkpoint import Checkpoint
from converters.dialects.official import GLOBAL_STEP, OFFICIAL, SLOT_SUFFIXES
from converters.errors import OutputError, UnsupportedFile, some_of
from converters.formats.base import Array, TensorInfo
from converters.formats.tensor_bundle import TensorBundleWriter
from converters.metadata_keys import DIALECT_KEY, SPEC_KEY
from converters.names.naming import Entry, table
from converters.opening import open_checkpoint
from converters.options import Ema, SourceOptions
from effnet_core import NetworkSpec, Slot, TrainingState, check_state, parameters, to_json

_INT64 = np.dtype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training that a file holds."""

    spec: NetworkSpec
    state: TrainingState
    notes: tuple[str, ...]
    """What was found or decided, a sentence each."""


def write_training_checkpoint(
    target: str | Path, spec: NetworkSpec, state: TrainingState, *, overwrite: bool = False, sync: bool = True
) -> tuple[Path, ...]:
    """Write where a training stands to `target`, such as folder/model.ckpt-1000, to go on here or in the official code.

    Gives the files that were written. `checkpoint` in the folder, by which the official code finds what to resume, is
    written where there is none, and left as it is otherwise.

    Raises `CheckpointMismatch` when the tensors are not those of the network, and `OutputError` for a state without
    slots, one that is not in float32 (as the official code restores it), or an output that cannot be written.
    """
    _check(spec, state, Path(target))
    arrays = _arrays(spec, state)
    tensors = [TensorInfo(name=name, shape=array.shape, dtype=array.dtype) for name, array in arrays.items()]
    metadata = {SPEC_KEY: to_json(spec), DIALECT_KEY: OFFICIAL.name}
    with TensorBundleWriter(Path(target), tensors, metadata, overwrite=overwrite, sync=sync) as writer:
        for array in arrays.values():
            writer.write(array)
        writer.finish().close()
        return writer.commit()


def read_training_checkpoint(path: str | Path, *, options: SourceOptions | None = None) -> Training:
    """The training that a checkpoint in the official names holds, to go on with.

    `Trainer.load` of `effnet_torch` and `effnet_tf` takes the state. Averages that the file lacks are None; slots are
    those that it has for every trained tensor.

    Raises what `open_checkpoint` raises, and `UnsupportedFile` for a file without step or without slots, and for one
    whose averages or slots are there for a part of the tensors only.
    """
    chosen = options or SourceOptions()
    with open_checkpoint(path, _raw(chosen)) as checkpoint:
        if checkpoint.dialect is not OFFICIAL:
            raise UnsupportedFile(
                f"{path} is in the names of {checkpoint.dialect.title}; a training is read from those of "
                f"{OFFICIAL.title}. Take its weights with load_network."
            )
        return Training(spec=checkpoint.spec, state=_state(checkpoint), notes=checkpoint.notes)


def _raw(options: SourceOptions) -> SourceOptions:
    """The variables themselves: the averages are read beside them."""
    return replace(options, ema=Ema.NEVER)


def _check(spec: NetworkSpec, state: TrainingState, target: Path) -> None:
    listed = parameters(spec)
    trained = [parameter for parameter in listed if parameter.trainable]
    groups = [("The state", listed, state.variables)]
    if state.averages is not None:
        groups.append(("The moving averages", listed, state.averages))
    groups += [(f"The optimiser's {slot.value}", trained, arrays) for slot, arrays in state.slots.items()]
    for subject, wanted, arrays in groups:
        shapes = {name: np.shape(array) for name, array in arrays.items()}
        check_state(wanted, shapes, subject=subject, network=spec.name)
    if set(state.slots) not in [set(suffixes) for suffixes in SLOT_SUFFIXES]:
        found = some_of(slot.value for slot in state.slots)
        raise OutputError(
            f"{target}: the state has the slots: {found}; expected those of the recipe's RMSProp or of SGD with "
            "momentum, which the official code restores. Save the weights alone with save_state."
        )
    others = sorted({str(array.dtype) for _, _, arrays in groups for array in arrays.values()} - {"float32"})
    if others:
        raise OutputError(
            f"{target}: the state holds {some_of(others)}; the official code restores float32 alone. Train in "
            "float32, or convert the arrays."
        )


def _arrays(spec: NetworkSpec, state: TrainingState) -> dict[str, Array]:
    """Every array under its official name."""
    suffixes = _suffixes(state.slots)
    arrays: dict[str, Array] = {}
    for entry in table(OFFICIAL, spec, scope=spec.name):
        name = entry.parameter.name
        groups: list[tuple[str, Mapping[str, Array]]] = [("", state.variables)]
        if state.averages is not None and OFFICIAL.shadow_suffix is not None:
            groups.append((OFFICIAL.shadow_suffix, state.averages))
        if entry.parameter.trainable:
            groups += [(suffixes[slot], arrays_of) for slot, arrays_of in state.slots.items()]
        for suffix, values in groups:
            arrays[entry.name + suffix] = np.ascontiguousarray(entry.to_foreign(np.asarray(values[name])))
    arrays[GLOBAL_STEP] = np.array(state.step, dtype=_INT64)
    return arrays


def _suffixes(slots: Mapping[Slot, object]) -> Mapping[Slot, str]:
    return next(suffixes for suffixes in SLOT_SUFFIXES if set(suffixes) == set(slots))


def _state(checkpoint: Checkpoint) -> TrainingState:
    names = {source.entry: source.name for source in checkpoint.sources}
    trained = {entry: name for entry, name in names.items() if entry.parameter.trainable}
    slots: dict[Slot, dict[str, Array]] = {}
    for suffixes in SLOT_SUFFIXES:
        read = {slot: _beside(checkpoint, trained, suffix) for slot, suffix in suffixes.items()}
        if all(arrays is not None for arrays in read.values()):
            slots = {slot: arrays for slot, arrays in read.items() if arrays is not None}
            break
    step = _step(checkpoint)
    if step is None or not slots:
        absent = "number of steps (global_step)" if step is None else "slots of an optimiser"
        raise UnsupportedFile(
            f"{checkpoint.path} holds no {absent}, so that no training can go on from it. Take its weights with "
            "load_network."
        )
    averages = None if OFFICIAL.shadow_suffix is None else _beside(checkpoint, names, OFFICIAL.shadow_suffix)
    return TrainingState(step=step, variables=checkpoint.state(), averages=averages, slots=slots)


def _step(checkpoint: Checkpoint) -> int | None:
    reader = checkpoint.reader
    found = [name for name in reader.tensors if name.rsplit("/", 1)[-1] == GLOBAL_STEP]
    return int(reader.read(found[0])) if len(found) == 1 and reader.tensors[found[0]].shape == () else None


def _beside(checkpoint: Checkpoint, names: Mapping[Entry, str], suffix: str) -> dict[str, Array] | None:
    """What stands beside those variables under a suffix, canonical; None where nothing does.

    Raises `UnsupportedFile` where it stands beside a part of them, or has another shape or type.
    """
    tensors = checkpoint.reader.tensors
    absent = [name + suffix for name in names.values() if name + suffix not in tensors]
    if len(absent) == len(names):
        return None
    wrong = [
        name + suffix
        for entry, name in names.items()
        if name + suffix in tensors
        and (tensors[name + suffix].shape != entry.shape or tensors[name + suffix].dtype.kind != "f")
    ]
    if absent or wrong:
        raise UnsupportedFile(_partly(checkpoint.path, suffix, absent, wrong))
    return {
        entry.parameter.name: np.array(entry.to_canonical(checkpoint.reader.read(name + suffix)), order="C")
        for entry, name in names.items()
    }


def _partly(path: Path, suffix: str, absent: Sequence[str], wrong: Sequence[str]) -> str:
    return (
        f"{path}: expected {suffix.lstrip('/')} of every tensor in its shape, floating-point; missing: "
        f"{some_of(absent)}; of another shape or type: {some_of(wrong)}. Take another checkpoint of the training."
    )
