"""Networks of timm, as `timm.create_model` makes them.

A narrow one is what the model's own entry point makes, with other multipliers: it calls a `_gen_*` function, which it
gives padding and epsilon, and which has the multipliers as arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
from safetensors.torch import save_file
from timm.models import efficientnet, load_checkpoint
from torch import nn
from torch_model import TorchModel


class Model(TorchModel):
    @staticmethod
    def build(network: dict[str, Any]) -> nn.Module:
        scale = {"channel_multiplier": network["width"], "depth_multiplier": network["depth"]}
        with _scaled({name: value for name, value in scale.items() if value is not None}):
            return timm.create_model(network["name"], num_classes=network["classes"])

    def save(self, folder: Path) -> dict[str, Path]:
        path = folder / "network.safetensors"
        save_file(self.module.state_dict(), path)
        return {**super().save(folder), "safetensors": path}

    def load(self, path: Path) -> None:
        if path.is_dir():  # which says what its network is
            self.module = timm.create_model(f"local-dir:{path}", pretrained=True).eval()
            return
        load_checkpoint(self.module, str(path), strict=True)


@contextmanager
def _scaled(scale: dict[str, float]) -> Iterator[None]:
    """Calls of the `_gen_*` functions get these multipliers instead of those of the entry point."""
    generators = {name: value for name, value in vars(efficientnet).items() if name.startswith("_gen_")}
    for name, generator in generators.items():
        setattr(efficientnet, name, _with(generator, scale))
    try:
        yield
    finally:
        for name, generator in generators.items():
            setattr(efficientnet, name, generator)


def _with(generator: Callable[..., nn.Module], scale: dict[str, float]) -> Callable[..., nn.Module]:
    return lambda variant, **options: generator(variant, **{**options, **scale})
