"""Networks with a small head behind them, in memory, for tests of how such files are understood."""

import json
from pathlib import Path

import numpy as np

from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import HiddenActivation, HiddenDense, HiddenDropout, HiddenNorm, without_classifier
from tests.converters.memory import DEFAULT, in_dialect
from tests.heads import narrow
from tests.lively import lively_state

SPEC = without_classifier(narrow())
STATE = lively_state(SPEC)
C = SPEC.head.out_channels
TORCH_NORM = ("weight", "bias", "running_mean", "running_var")
KERAS_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def random(name, shape):
    return np.random.default_rng(len(name) * 1000 + sum(name.encode())).uniform(0.5, 2, shape).astype(np.float32)


def layers_in(separator, rows):
    """Arrays of a head: a row is a path and (inputs, outputs) of a dense layer or the channels of a norm."""
    is_torch = separator == "."
    found = {}
    for path, sizes in rows.items():
        if isinstance(sizes, int):
            found |= {f"{path}{separator}{leaf}": (sizes,) for leaf in (TORCH_NORM if is_torch else KERAS_NORM)}
        else:
            inputs, outputs = sizes
            kernel = (outputs, inputs) if is_torch else (inputs, outputs)
            found |= {
                f"{path}{separator}{'weight' if is_torch else 'kernel'}": kernel,
                f"{path}{separator}bias": (outputs,),
            }
    return {name: random(name, shape) for name, shape in found.items()}


def understood(head, *, dialect="timm", prefix="", spec=SPEC, options=DEFAULT, configuration=None):
    body = {prefix + name: array for name, array in in_dialect(dialect, spec, STATE).items()}
    reader = MemoryReader(body | head, path=Path("memory"), format="memory")
    reader.metadata = {} if configuration is None else {"model_config": json.dumps(configuration)}
    return understand(reader, options)


def summary(classifier):
    """The layers in few letters: d12+relu, n12, relu."""
    words = []
    for layer in classifier.hidden:
        match layer:
            case HiddenDense():
                words.append(f"d{layer.out_channels}" + (f"+{layer.activation}" if layer.activation else ""))
            case HiddenNorm():
                words.append(f"n{layer.channels}")
            case HiddenActivation():
                words.append(str(layer.activation))
            case HiddenDropout():
                words.append(f"drop {layer.dropout_rate:g}")
    return " ".join([*words, f"{classifier.num_classes} classes"])
