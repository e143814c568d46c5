"""The weights inside a Keras archive, read without Keras.

`model.weights.h5` has a group for each layer, whose attribute `name` is the layer's name, in our models the canonical
one, and whose datasets 0, 1, ... are the layer's variables in the order in which it made them. Loading through Keras
would build whatever the archive's configuration names, and would leave a layer that it does not find as it was.
"""

from __future__ import annotations

import io
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import FormatError, UnsupportedFile
from effnet.errors import MissingFramework
from effnet_core import NetworkSpec, Parameter, check_state, described, parameters


def read_weights(data: bytes, spec: NetworkSpec, *, where: str) -> dict[str, NDArray[Any]]:
    """The canonical state in an HDF5 file of Keras' layout. Array types are the file's.

    Raises `FormatError` for a damaged file, `CheckpointMismatch` with every tensor that is missing, unexpected or of
    another shape, `UnsupportedFile` for arrays that are stored elsewhere, and `MissingFramework` without h5py.
    """
    if find_spec("h5py") is None:
        raise MissingFramework("Reading Keras archives needs h5py, which comes with Keras: pip install 'effnet[tf]'.")
    try:
        with import_module("h5py").File(io.BytesIO(data), "r") as file:
            return _state(file, spec, where)
    # h5py reports damage with any of these.
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise FormatError(f"{where}: the weights cannot be read: {error}. Copy or write the file again.") from None


def _state(file: Any, spec: NetworkSpec, where: str) -> dict[str, NDArray[Any]]:
    layers: dict[str, list[Parameter]] = {}
    for parameter in parameters(spec):
        layers.setdefault(parameter.layer, []).append(parameter)
    datasets: dict[str, Any] = {}
    for layer, variables in _layers(file).items():
        names = [parameter.name for parameter in layers.get(layer, [])]
        for index, dataset in variables.items():
            datasets[names[index] if index < len(names) else f"{layer}/{index}"] = dataset
    check_state(
        parameters(spec),
        {name: tuple(dataset.shape) for name, dataset in datasets.items()},
        subject=where,
        network=described(spec),
    )
    return {parameter.name: _values(datasets[parameter.name], where) for parameter in parameters(spec)}


def _layers(file: Any) -> dict[str, dict[int, Any]]:
    """The datasets of each layer by number; links to other files are not followed."""
    found: dict[str, dict[int, Any]] = {}
    h5py = import_module("h5py")

    def visit(path: str, item: Any) -> None:
        group, _, last = path.rpartition("/")
        if isinstance(item, h5py.Dataset) and group.startswith("layers/") and last.isdecimal():
            name = file[group].attrs.get("name", "")
            # Random seeds of dropout are stored beside the weights.
            if np.issubdtype(item.dtype, np.floating):
                found.setdefault(str(name), {})[int(last)] = item

    file.visititems(visit)
    return found


def _values(dataset: Any, where: str) -> NDArray[Any]:
    if dataset.external or dataset.is_virtual:
        raise UnsupportedFile(f"{where}: {dataset.name} is stored in another file; expected its numbers in this one.")
    return np.array(dataset[()], order="C")
