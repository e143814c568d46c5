"""The models in a directory, laid out as TensorFlow Serving expects: NAME/VERSION/, VERSION a positive integer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from effnet.serving.errors import UnservableModel

_SAVED_MODEL = "saved_model.pb"
_ONNX = "model.onnx"
_LAYOUT = (
    f"NAME/VERSION/{_SAVED_MODEL} or NAME/VERSION/{_ONNX}, VERSION a positive whole number, as `effnet export` writes"
)


class Kind(StrEnum):
    """What a version holds, and so what runs it."""

    SAVED_MODEL = "savedmodel"
    ONNX = "onnx"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A version of a model on disk."""

    name: str
    version: int
    kind: Kind
    path: Path
    """The folder of the SavedModel, or the ONNX file."""


def find_models(where: Path, *, every_version: bool = False) -> list[Found]:
    """The newest version of each model, or every one: of a model's directory, of a folder of such, of one version.

    A single `.onnx` file is a model of its name in version 1. Raises `UnservableModel` when there is none.
    """
    if not where.exists():
        raise UnservableModel(f"{where} does not exist. Expected a directory with {_LAYOUT}.")
    where = _place(where)
    if where.is_file():
        return [_single_file(where)]
    if _version(where) is not None and (one := _at(where.parent.name, where)) is not None:
        return [one]
    models = {name: found for name, found in _candidates(where) if found}
    if not models:
        raise UnservableModel(f"{where} holds no model. Expected {_LAYOUT}.")
    wanted = (found if every_version else found[-1:] for _, found in sorted(models.items()))
    return [version for versions in wanted for version in versions]


def _place(where: Path) -> Path:
    """The whole path. A link gives a model its own name, unless it leads to a version, such as `current` to 3."""
    written, real = Path(os.path.abspath(where)), where.resolve()  # noqa: PTH100  # pathlib's keeps the dots
    return real if _version(real) is not None and _version(written) is None else written


def _candidates(where: Path) -> list[tuple[str, list[Found]]]:
    own = _versions(where)
    if own:
        return [(where.name, own)]
    return [(folder.name, _versions(folder)) for folder in where.iterdir() if folder.is_dir()]


def _versions(folder: Path) -> list[Found]:
    """The versions in a model's directory, the oldest first; names that are no numbers are none of them."""
    numbered = sorted((path for path in folder.iterdir() if _version(path) is not None), key=_order)
    return [found for path in numbered if (found := _at(folder.name, path)) is not None]


def _at(name: str, path: Path) -> Found | None:
    for kind, file, target in ((Kind.SAVED_MODEL, _SAVED_MODEL, path), (Kind.ONNX, _ONNX, path / _ONNX)):
        if (path / file).is_file():
            return Found(name=name, version=_order(path), kind=kind, path=target)
    return None


def _version(path: Path) -> int | None:
    name = path.name
    return int(name) if name.isascii() and name.isdigit() and int(name) > 0 and path.is_dir() else None


def _order(path: Path) -> int:
    return int(path.name)


def _single_file(file: Path) -> Found:
    if file.suffix.lower() != ".onnx":
        raise UnservableModel(f"{file} is a file, and not one that ends with .onnx. Expected {_LAYOUT}.")
    parent = file.parent
    if file.name == _ONNX and _version(parent) is not None:
        return Found(name=parent.parent.name, version=_order(parent), kind=Kind.ONNX, path=file)
    return Found(name=file.stem, version=1, kind=Kind.ONNX, path=file)
