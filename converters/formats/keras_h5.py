"""Keras' HDF5 files with a list of layers (`.h5`, `.hdf5`): those of Keras 2 and the legacy ones of Keras 3.

The attribute `layer_names` lists the layers; the group of a layer lists its variables in `weight_names`, and holds them
under these names. Weights alone are at the root; those of a whole model are in `model_weights`.

Source: keras/src/legacy/saving/legacy_h5_format.py of Keras 3.15, tf_keras/src/saving/legacy/hdf5_format.py 2.21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from converters.errors import FormatError, OutputError, UnsupportedFile, some_of
from converters.formats._arrays import Expected
from converters.formats._hdf5.attributes import Attributes
from converters.formats._hdf5.errors import damaged, reading
from converters.formats._hdf5.group import members
from converters.formats._hdf5.header import read_header
from converters.formats._hdf5.output import AttributeValue, Hdf5Output, Structure, names_attribute
from converters.formats._hdf5.reader import Hdf5Reader
from converters.formats._hdf5.stored import NotNumeric, Stored, describe
from converters.formats._hdf5.superblock import root_address
from converters.formats._hdf5.tree import Tree, walk
from converters.formats._hdf5.window import Window
from converters.formats._input import InputFile
from converters.formats._keras_layers import ORDER, layers_of
from converters.formats.base import Array, Location, TensorInfo, Writer
from converters.formats.dtypes import BFLOAT16

_LAYERS, _WEIGHTS = "layer_names", "weight_names"
_MODEL, _TOP_LEVEL = "model_weights", "top_level_model_weights"
_OPTIMIZER = "optimizer_weights/"
_LOW_RANK = ("/lora_kernel_a", "/lora_kernel_b")
_IDENTITY = MappingProxyType({"backend": "tensorflow", "keras_version": "3.0.0"})
"""Without them Keras 2 takes a file for one of Keras 1 and turns its kernels round."""
_NUMBER = re.compile(r":[0-9]+$")
_COUNTED = re.compile(r"_[0-9]+$")


class KerasH5Reader(Hdf5Reader):
    """An open Keras file with a list of layers; its tensors are in the order of the lists."""

    format = "keras-h5"

    def name_tensors(self) -> None:
        """Name every variable that a layer lists."""
        where = str(self.path)
        tree = walk(self.window, where=where)
        attributes = Attributes(self.window, where=where)
        root = _MODEL if _MODEL in tree.groups and attributes.names(tree.groups[""], _LAYERS) is None else ""
        paths = _listed(tree, root, attributes, where=where)
        self.metadata = attributes.texts(tree.groups[root]) | attributes.texts(tree.groups[""])
        self.layers = frozenset(attributes.names(tree.groups[root], _LAYERS) or ())
        stored: dict[str, Stored] = {}
        skipped: dict[str, str] = {}
        opaque: list[str] = []
        for path, header in tree.datasets.items():
            name = paths.get(path)
            if name is None:
                skipped[path] = "a variable of the optimiser" if path.startswith(_OPTIMIZER) else "no layer lists it"
                continue
            try:
                stored[name] = describe(header, path, attributes=attributes, size=self.window.size, where=where)
            except NotNumeric as reason:
                skipped[name] = str(reason)
                if reason.is_opaque:
                    opaque.append(name)
        if opaque:
            raise UnsupportedFile(
                f"{where}: {some_of(opaque, count=2)} are bytes whose type the file does not tell, as Keras writes "
                "bfloat16 variables to .h5 files. Save the model as `.keras` or `.weights.h5`, which tell it, or with "
                "the policy float32 or mixed_bfloat16."
            )
        self.stored = {name: stored[name] for name in paths.values() if name in stored}
        self.skipped = skipped
        if updates := [name for name in self.stored if name.endswith(_LOW_RANK)]:
            raise UnsupportedFile(
                f"{where} holds low-rank updates (LoRA) beside kernels ({some_of(updates, count=2)}), which belong to "
                "these. Keras adds them when it saves a `.keras` or `.weights.h5` file: open the model there, save it "
                "so, and give that file."
            )


def lists_layers(file: InputFile) -> bool:
    """Whether an HDF5 file lists layers, at its root or in `model_weights`. Raises `FormatError` for a damaged one."""
    window, where = Window(file, size=file.size), str(file.path)
    attributes = Attributes(window, where=where)
    with reading(where):
        root = read_header(window, root_address(window, where=where))
        if attributes.names(root, _LAYERS) is not None:
            return True
        model = dict(members(window, root, where=where)).get(_MODEL)
        return model is not None and attributes.names(read_header(window, model), _LAYERS) is not None


def _listed(tree: Tree, root: str, attributes: Attributes, *, where: str) -> dict[str, str]:
    """Path of each dataset that a layer lists to its tensor name, in the order of the lists."""
    start = f"{root}/" if root else ""
    layers = attributes.names(tree.groups[root], _LAYERS)
    if layers is None:
        raise FormatError(
            f"{where} is an HDF5 file, but none of Keras: expected the attribute {_LAYERS!r} or groups `vars`."
        )
    found: dict[str, str] = {}
    for layer in [*layers, *([_TOP_LEVEL] if start + _TOP_LEVEL in tree.groups else [])]:
        if start + layer not in tree.groups:
            raise damaged(where, f"its layer {layer!r} is not there")
        for weight in attributes.names(tree.groups[start + layer], _WEIGHTS) or ():
            path = f"{start}{layer}/{weight}"
            if path not in tree.datasets or path in found:
                reason = "is listed twice" if path in found else "is not there"
                raise damaged(where, f"the variable {weight!r} of its layer {layer!r} {reason}")
            found[path] = tensor_name(layer, weight)
    if len(set(found.values())) != len(found):
        # Numbers that stand behind the names, or models of one name: only the whole paths differ.
        return {path: path.removeprefix(start) for path in found}
    return found


def tensor_name(layer: str, weight: str) -> str:
    """`LAYER/leaf` for a variable of a layer, `OUTER/LAYER/leaf` for one of a network inside.

    Keras repeats the layer's name in the variable's, with a number where the graph had one of that name already.
    """
    plain = _NUMBER.sub("", weight)
    first, _, rest = plain.partition("/")
    repeated = bool(rest) and (first == layer or _COUNTED.sub("", first) == layer)
    return f"{layer}/{rest if repeated else plain}"


class KerasH5Writer(Writer):
    """A Keras file of weights alone being written, as `load_weights` of Keras 3 and of Keras 2 reads it.

    The layers are listed in the order of their first tensors, in which Keras expects those of a model.
    """

    format: ClassVar[str] = "keras-h5"

    def __init__(
        self, path: Path, tensors: Sequence[TensorInfo], metadata: Mapping[str, str], *, overwrite: bool, sync: bool
    ) -> None:
        expected = Expected(tensors, path)
        for info in tensors:
            if info.dtype.name == BFLOAT16:
                raise OutputError(
                    f"{path}: Keras' .h5 files cannot hold {info.dtype} ({info.name}). Choose another --dtype, or "
                    ".weights.h5."
                )
        layers = layers_of(tensors, path)
        attributes: dict[str, Mapping[str, AttributeValue]] = {
            "": {**_IDENTITY, **metadata, **names_attribute(_LAYERS, list(layers))}
        }
        for layer, leaves in layers.items():
            attributes[layer] = names_attribute(
                _WEIGHTS, [f"{layer}/{leaf}" for leaf in sorted(leaves, key=ORDER.index)]
            )
        datasets = [(f"{info.name.partition('/')[0]}/{info.name}", info) for info in tensors]
        self._output = Hdf5Output(
            path, Structure(datasets=datasets, attributes=attributes), expected, overwrite=overwrite, sync=sync
        )

    def write(self, array: Array) -> Location:
        """Write the next array and read its bytes back."""
        return self._output.write(array)

    def reserve(self) -> Location:
        """The place of the next array."""
        return self._output.reserve()

    def write_at(self, place: Location, start: int, data: Array) -> None:
        """Write a part of a reserved array and read it back."""
        self._output.write_at(place, start, data)

    def finish(self) -> KerasH5Reader:
        """Open the result, still without its final name."""
        return KerasH5Reader(self._output.finish())

    def commit(self) -> tuple[Path, ...]:
        """Give the file its final name."""
        return self._output.commit()

    def close(self) -> None:
        """Discard what was not committed."""
        self._output.close()
