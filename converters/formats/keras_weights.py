"""Keras 3's `.weights.h5`: a group `vars` for each layer, its variables numbered in it.

The path of a layer is made of the class and a number, as in `layers/conv2d_5`; the layer's own name is the attribute
`name` of `vars`, where the Keras that wrote the file knew to write it.

Source: keras/src/saving/saving_lib.py of Keras 3.15, tf_keras/src/saving/saving_lib.py 2.21.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from converters.errors import FormatError, OutputError
from converters.formats._arrays import Expected
from converters.formats._hdf5.attributes import Attributes
from converters.formats._hdf5.output import AttributeValue, Hdf5Output, Structure
from converters.formats._hdf5.reader import Hdf5Reader
from converters.formats._hdf5.tree import walk
from converters.formats._keras_layers import ADVICE, ORDER, class_for, layers_of
from converters.formats._keras_variables import VARIABLES, find_variables
from converters.formats.base import Array, Location, TensorInfo, Writer


class KerasWeightsReader(Hdf5Reader):
    """An open `.weights.h5`; its tensors are in the order in which the layers were written."""

    format = "keras-weights"

    def name_tensors(self) -> None:
        """Name every variable of a layer."""
        where = str(self.path)
        tree = walk(self.window, where=where)
        attributes = Attributes(self.window, where=where)
        found = find_variables(
            tree,
            attributes,
            size=self.window.size,
            where=where,
            configured=self.configured_names,
            configured_leaves=self.configured_leaves,
        )
        if not found.stored:
            raise FormatError(f"{where} is an HDF5 file, but none of Keras: expected `layer_names` or groups `vars`.")
        self.stored, self.skipped, self.notes = found.stored, found.skipped, found.notes
        self.layers, self.layer_classes = found.layers, found.classes
        self.metadata = attributes.texts(tree.groups[""])

    def configured_names(self) -> Mapping[str, str]:
        """Names of layers by path, from elsewhere than the weights; none here."""
        return {}

    def configured_leaves(self) -> Mapping[str, Sequence[str]]:
        """The variables of layers whose class and shapes do not tell them, in the same way."""
        return {}


class KerasWeightsWriter(Writer):
    """A `.weights.h5` being written.

    Keras finds a layer by its class and its number among those of its class, which follow the order of the tensors.
    """

    format: ClassVar[str] = "keras-weights"

    def __init__(
        self, path: Path, tensors: Sequence[TensorInfo], metadata: Mapping[str, str], *, overwrite: bool, sync: bool
    ) -> None:
        expected = Expected(tensors, path)
        experts = any(info.name.endswith("/depthwise_kernel") and len(info.shape) == 2 for info in tensors)
        counts: dict[str, int] = {}
        places: dict[str, str] = {}
        attributes: dict[str, Mapping[str, AttributeValue]] = {"": metadata}
        for layer, leaves in layers_of(tensors, path).items():
            # Beside experts' depthwise kernels, the matrices of convolutions hold experts too.
            conditional = experts and layer.endswith(".conv")
            kind = class_for({leaf: len(info.shape) for leaf, info in leaves.items()}, is_conditional=conditional)
            if kind is None:
                raise OutputError(f"{path}: {layer} has {', '.join(leaves)}, which no layer of Keras has. {ADVICE}")
            number = counts[kind] = counts.get(kind, -1) + 1
            group = f"layers/{kind}{f'_{number}' if number else ''}/{VARIABLES}"
            attributes[group] = {"name": layer}
            ordered = enumerate(sorted(leaves, key=ORDER.index))
            places |= {f"{layer}/{leaf}": f"{group}/{index}" for index, leaf in ordered}
        datasets = [(places[info.name], info) for info in tensors]
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

    def finish(self) -> KerasWeightsReader:
        """Open the result, still without its final name."""
        return KerasWeightsReader(self._output.finish())

    def commit(self) -> tuple[Path, ...]:
        """Give the file its final name."""
        return self._output.commit()

    def close(self) -> None:
        """Discard what was not committed."""
        self._output.close()
