"""Write a full-size checkpoint as the official code does: variables, moving averages and `global_step`.

Run as a program, so that the benchmark itself never loads TensorFlow:

    python tools/bench/official_checkpoint.py efficientnet-b0 PREFIX
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from converters import DIALECTS
from converters.names.naming import table
from effnet_core import Role, resolve

OFFICIAL = DIALECTS["official"]


def arrays(variant: str) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor of the checkpoint: random, variables and moving averages independent of each other."""
    rng = np.random.default_rng(0)
    spec = resolve(variant)
    for entry in table(OFFICIAL, spec, scope=spec.name):
        for name in (entry.name, f"{entry.name}{OFFICIAL.shadow_suffix}"):
            values = rng.standard_normal(entry.shape, dtype=np.float32)
            if entry.parameter.role is Role.VARIANCE:
                values = 0.5 + np.abs(values)
            elif len(entry.shape) > 1:  # so that the logits are numbers
                values /= np.sqrt(values.size / max(entry.shape[-2:]))
            yield name, values
    yield "global_step", np.array(218_949, dtype=np.int64)


def write(variant: str, prefix: str) -> None:
    """Write the checkpoint with TensorFlow's own writer."""
    names, values = zip(*arrays(variant), strict=True)
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)


if __name__ == "__main__":
    write(*sys.argv[1:])
