"""The contenders that PyTorch runs: ours, timm's and torchvision's; and the floor of a network's layers."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from inference_task import Contender, Images, Run, Skipped, Task
from torch import nn

from effnet_core import from_json
from effnet_torch import create_model

_FORMATS = (torch.contiguous_format, torch.channels_last)
_FLOOR_RUNS = 8


def start(task: Task) -> None:
    """Of the process."""
    torch.set_num_threads(task.threads)


def _ours(task: Task, files: str = "plain") -> nn.Module:
    with np.load(task.folder / f"{files}.npz") as stored:
        state = dict(stored)
    return create_model(from_json((task.folder / f"{files}.json").read_text()), state)


def _timm(task: Task) -> nn.Module:
    timm = _library("timm")
    name = f"tf_{_underscored(task)}"
    if name not in timm.list_models(name):
        raise Skipped(f"timm has no {name}")
    network = timm.create_model(name)
    network.load_state_dict(import_module("safetensors.torch").load_file(task.folder / "timm.safetensors"))
    return network


def _torchvision(task: Task) -> nn.Module:
    models = _library("torchvision").models
    if (name := _underscored(task)) not in models.list_models():
        raise Skipped(f"torchvision has no {name}")
    return models.get_model(name)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise Skipped(f"{name} does not import: {error}") from error


def _underscored(task: Task) -> str:
    return task.network.replace("-", "_")


def _contender(
    build: Callable[[Task], nn.Module], task: Task, *, layout: Any = torch.contiguous_format, compiles: bool = False
) -> Contender:
    network = build(task).eval().to(memory_format=layout)
    function: Any = torch.compile(network, dynamic=False) if compiles else network

    def prepare(images: Images) -> Run:
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)  # (N, C, H, W)

        def run() -> Any:
            with torch.inference_mode():
                return function(batch)

        return run

    return prepare


_FOLDED = partial(_ours, files="folded")
_LAST = torch.channels_last
CONTENDERS: dict[str, Callable[[Task], Contender]] = {
    "plain": partial(_contender, _ours),
    "folded": partial(_contender, _FOLDED),
    "channels_last": partial(_contender, _ours, layout=_LAST),
    "folded, channels_last": partial(_contender, _FOLDED, layout=_LAST),
    "compiled": partial(_contender, _ours, compiles=True),
    "folded, compiled": partial(_contender, _FOLDED, compiles=True),
    "timm tf_": partial(_contender, _timm),
    "timm tf_, channels_last": partial(_contender, _timm, layout=_LAST),
    "timm tf_, compiled": partial(_contender, _timm, compiles=True),
    "torchvision": partial(_contender, _torchvision),
    "torchvision, channels_last": partial(_contender, _torchvision, layout=_LAST),
}


def floor(task: Task, images: Images) -> tuple[float, int]:
    """Seconds for a batch's bare convolutions and dense layers, one after the other, and how many they are.

    Each distinct layer is run alone with its bias, its input and its kernel hot, in both memory formats; its best time
    of all counts. Padding that is not symmetric, activations, squeezing and sums are not in it.
    """
    network = _ours(task, "folded").eval()
    layers: list[tuple[nn.Module, torch.Tensor]] = []

    def keep(layer: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        layers.append((layer, given[0].clone()))

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_pre_hook(keep)
    with torch.inference_mode():
        network(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())
        best: dict[tuple[Any, ...], float] = {}
        for layer, given in layers:
            key = (str(layer), tuple(given.shape))
            if key not in best:
                best[key] = min(_seconds(layer, given, layout) for layout in _FORMATS)
        return sum(best[str(layer), tuple(given.shape)] for layer, given in layers), len(layers)


def _seconds(layer: nn.Module, given: torch.Tensor, layout: Any) -> float:
    """The best of several runs of a layer without what it pads."""
    function: Callable[[torch.Tensor], torch.Tensor]
    if isinstance(layer, nn.Conv2d):
        kernel = layer.weight.contiguous(memory_format=layout)
        amount = 0 if tuple(given.shape[2:]) == (1, 1) else (layer.kernel_size[0] - 1) // 2
        given = given.contiguous(memory_format=layout)
        function = partial(
            nn.functional.conv2d,
            weight=kernel,
            bias=layer.bias,
            stride=layer.stride,
            padding=amount,
            groups=layer.groups,
        )
    else:
        function = partial(nn.functional.linear, weight=layer.weight, bias=layer.bias)
    best = float("inf")
    for _ in range(_FLOOR_RUNS):
        started = time.perf_counter()
        function(given)
        best = min(best, time.perf_counter() - started)
    return best
