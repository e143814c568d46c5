"""Weights that PyTorch keeps as something else, from which its layers compute them: they are not in the file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from converters.dialects import Dialect
from converters.errors import UnsupportedFile, counted, some_of
from converters.formats.base import Reader
from converters.names.matching import Recognised, is_named

_SAVED_AGAIN = "in the program that made the model, then save its state_dict again."


class _Kind(NamedTuple):
    what: str
    leaf: re.Pattern[str]
    """What follows the layer in the names of its tensors."""
    undone_by: str


_KINDS = (
    _Kind(
        "low-rank updates (LoRA) beside the weights, to which they are added",
        re.compile(r"(?:(?:base_layer|parametrizations\.\w+\.\d+)\.)?lora_\w+(?:\..+)?"),
        "Merge them (model = model.merge_and_unload() with peft, the like in other libraries)",
    ),
    _Kind(
        "weights under spectral normalisation",
        re.compile(r"\w+_u|parametrizations\.(?P<weight>\w+)\.\d+\._[uv]"),
        "Call torch.nn.utils.remove_spectral_norm(layer), or where the names have 'parametrizations', "
        "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight'), on each of these layers",
    ),
    _Kind(
        "weights under weight normalisation, each as a magnitude and a direction",
        re.compile(r"\w+_[gv]|parametrizations\.\w+\.original[01]"),
        "Call torch.nn.utils.remove_weight_norm(layer), or where the names have 'parametrizations', "
        "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight'), on each of these layers",
    ),
    _Kind(
        "pruned weights, each with a mask that is to be multiplied with it",
        re.compile(r"\w+_mask"),
        "Call torch.nn.utils.prune.remove(layer, 'weight') on each of these layers (and with 'bias', where it is "
        "pruned)",
    ),
    _Kind(
        "a network that rounds its weights and results as it was trained for quantisation (fake quantisation)",
        re.compile(r"\w+_fake_quant\..+"),
        "Take the network without it: load this state_dict, without the names that have 'fake_quant' or "
        "'activation_post_process' in them, into the model as it was before prepare_qat (its logits differ a little),",
    ),
    _Kind(
        "weights under a parametrisation of PyTorch",
        re.compile(r"parametrizations\..+"),
        "Call torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight') on each of these layers",
    ),
)
"""The first that fits holds: weight_v stands beside weight_u in spectral normalisation too."""


def check_not_reparametrised(reader: Reader, recognised: Recognised, unknown: Iterable[str]) -> None:
    """Raise `UnsupportedFile` where layers of the network keep their weights so; `unknown` are names of no variable."""
    inner = {name.removeprefix(recognised.prefix): name for name in unknown if name.startswith(recognised.prefix)}
    for kind in _KINDS:
        found = [name for variable, name in inner.items() if _is_of(kind, variable, recognised.dialect)]
        if found:
            raise UnsupportedFile(
                f"{reader.path} holds {kind.what}: {counted(len(found), 'tensor')} such as {some_of(found, count=2)}. "
                f"Expected the weights that the layers compute with. {kind.undone_by} {_SAVED_AGAIN}"
            )


def _is_of(kind: _Kind, variable: str, dialect: Dialect) -> bool:
    """Whether a tensor of that kind belongs to a layer of the network."""
    starts = (place for place, letter in enumerate(variable) if letter == dialect.separator)
    return any(
        kind.leaf.fullmatch(variable, start + 1) is not None and _is_layer(dialect, variable[:start])
        for start in starts
    )


def _is_layer(dialect: Dialect, path: str) -> bool:
    layer = path.removesuffix(".base_layer")
    return any(is_named(dialect, f"{layer}{dialect.separator}{leaf}") for leaf in ("weight", "bias"))
