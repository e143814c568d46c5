"""Judge what any library computes with the networks of a conformance set; needs numpy alone.

A set is a folder that `tools/conformance_set.py` writes: narrow networks of every family with their weights in every
dialect, inputs, what the official TensorFlow code computes from them in float64, and what the network would give with
one known mistake. A library loads the weights, runs the inputs, and hands its logits to `check_outputs`, which says
whether they are right, and if not, which mistake gives exactly these numbers.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from effnet.errors import InputError

Array = NDArray[Any]
VERSION = 1
LOGITS = "logits"
MULTIPLE = 16
"""Times the official code's own float32 error: what another order of sums, or another sigmoid, explains."""
_UNITS = 2.0**-29
"""Rounding in float64 as a part of rounding in float32."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One file of a case."""

    dialect: str
    path: Path
    mistake: str | None
    """The mistake that this dialect's own network is known to make with these weights, such as another padding."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network of a set."""

    name: str
    folder: Path
    weights: tuple[Weights, ...]
    inputs: Mapping[str, Path]
    """Height and width, as in 65x49, and the file of the normalised images, float32 (N, H, W, C)."""
    float32_error: Mapping[str, float]
    """By size: how far the official code's float32 logits are from its float64 ones, as a part of the largest."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one array of a library is worth."""

    case: str
    output: str
    """`65x49/logits`, or `64x64/blocks.3` and the like."""
    error: float
    """Largest difference from float64, as a part of the largest expected value; NaN for numbers that are not finite."""
    allowed: float
    mistake: str | None
    """The known mistake that gives these numbers."""

    @property
    def right(self) -> bool:
        """Whether the error is one of rounding."""
        return self.error <= self.allowed


def open_set(folder: str | Path) -> tuple[Case, ...]:
    """The cases of a set. Raises `InputError` where there is none, or a damaged one, or one of another version."""
    root = Path(folder)
    document = _json(root / "set.json")
    if document.get("version") != VERSION:
        raise InputError(
            f"{root} is a conformance set of version {document.get('version')}; expected version {VERSION}. Make it "
            "again with tools/conformance_set.py of this release."
        )
    try:
        cases = tuple(_case(root, name, entry) for name, entry in document["cases"].items())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(root / "set.json", f"{type(error).__name__}: {error}") from error
    if not cases:
        raise _damaged(root / "set.json", "it names no network")
    return cases


def check_outputs(case: Case, outputs: Mapping[str, Array]) -> tuple[Result, ...]:
    """Judge arrays by the names `SIZE` (logits) or `SIZE/ENDPOINT`, channels last, in any float type.

    float64 arrays are held to rounding in float64, others to that in float32. Raises `InputError` for names and shapes
    that the case has not, for no array at all, and for a set whose own files cannot be read.
    """
    if not outputs:
        raise InputError(
            f"{case.name}: there are no outputs to judge; expected logits by size: {', '.join(case.inputs)}."
        )
    expected, mistakes = (_arrays(case.folder / name, damaged=True) for name in ("expected.npz", "mistakes.npz"))
    return tuple(_result(case, _full_name(name), array, expected, mistakes) for name, array in outputs.items())


def check_folder(cases: tuple[Case, ...], folder: str | Path) -> Iterator[tuple[Case, tuple[Result, ...] | None]]:
    """Judge `CASE.npz` of every case in a folder; None where there is no such file.

    Raises `InputError` where the folder has none at all, and for files that cannot be read.
    """
    root = Path(folder)
    if not any((root / f"{case.name}.npz").is_file() for case in cases):
        names = ", ".join(f"{case.name}.npz" for case in cases)
        raise InputError(f"{root} has no outputs to judge; expected at least one of {names}.")
    for case in cases:
        path = root / f"{case.name}.npz"
        yield case, check_outputs(case, _arrays(path)) if path.is_file() else None


def _case(root: Path, name: str, entry: Mapping[str, Any]) -> Case:
    folder = root / name
    return Case(
        name=name,
        folder=folder,
        weights=tuple(
            Weights(dialect=dialect, path=folder / file["path"], mistake=file["mistake"])
            for dialect, file in entry["weights"].items()
        ),
        inputs={size: folder / path for size, path in entry["inputs"].items()},
        float32_error={size: float(entry["float32_error"][size]) for size in entry["inputs"]},
    )


def _full_name(name: str) -> str:
    return name if "/" in name else f"{name}/{LOGITS}"


def _result(
    case: Case, name: str, found: Array, expected: Mapping[str, Array], mistakes: Mapping[str, Array]
) -> Result:
    if name not in expected:
        raise InputError(
            f"{case.name}: there is nothing to compare {name!r} with; expected one of {', '.join(expected)}."
        )
    truth = expected[name]
    if found.shape != truth.shape or found.dtype.kind != "f":
        raise InputError(
            f"{case.name}: {name} is {found.dtype} of shape {found.shape}; expected floats of shape {truth.shape}, "
            "channels last."
        )
    allowed = MULTIPLE * case.float32_error[name.partition("/")[0]]
    if found.dtype == np.float64:
        allowed *= _UNITS
    error = _error(found, truth)
    return Result(
        case=case.name,
        output=name,
        error=error,
        allowed=allowed,
        mistake=None if error <= allowed else _mistake(name, found, mistakes, allowed),
    )


def _mistake(name: str, found: Array, mistakes: Mapping[str, Array], allowed: float) -> str | None:
    """The mistake whose logits these are; mistakes are recorded as `MISTAKE|SIZE/logits`."""
    for key in mistakes:
        mistake, _, output = key.rpartition("|")
        if output == name and _error(found, mistakes[key]) <= allowed:
            return mistake
    return None


def _error(found: Array, truth: Array) -> float:
    wide = found.astype(np.float64)
    if not np.isfinite(wide).all():
        return float("nan")
    return float(np.abs(wide - truth).max() / np.abs(truth).max())


def _arrays(path: Path, *, damaged: bool = False) -> dict[str, Array]:
    """The arrays of a file; `damaged`: one that belongs to the set, and not to a library."""
    try:
        # Opened here: numpy would leave a file open that is no archive.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file}
    except (OSError, ValueError, EOFError, TypeError, BadZipFile, zlib.error) as error:
        if damaged:
            raise _damaged(path, str(error)) from error
        raise InputError(f"{path} cannot be read as .npz, a file of numpy's savez: {error}") from error


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} of the conformance set is damaged ({why}). Make the set again with tools/conformance_set.py."
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path} is not there; expected the folder of a conformance set, which tools/conformance_set.py writes."
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f"{path} holds no JSON object; expected that of a conformance set.")
    return cast("dict[str, Any]", document)
