"""Keras files of quantised models are refused, in memory; tests/foreign writes them by Keras."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import SourceOptions, UnsupportedFile
from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import resolve
from tests.converters.memory import in_dialect
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, depth=0.1, num_classes=5)
ARRAYS = in_dialect("keras-applications", SPEC, lively_state(SPEC))
FEATURES = ARRAYS["predictions/kernel"].shape[0]


def opened(arrays: dict[str, Any], text: str = "{}", *, format: str = "keras", **options: Any) -> Any:
    reader = MemoryReader(ARRAYS | arrays, path=Path("m"), format=format)
    reader.metadata = {"model_config": text} if text else {}
    return understand(reader, SourceOptions(**options))


@pytest.mark.parametrize("text", ["", "{}"])
@pytest.mark.parametrize("format", ["keras", "keras-h5", "keras-weights"])
@pytest.mark.parametrize(
    "arrays",
    [
        {"predictions/kernel": np.ones((FEATURES, 5), "i1"), "predictions/kernel_scale": np.ones(5)},
        {"predictions/kernel": np.ones((FEATURES, 3), "u1")},
        {"out/vars/0": np.ones((FEATURES, 3), "i1"), "out/vars/1": np.ones(3), "out/vars/2": np.ones(3)},
        {"predictions/kernel_amax_history": np.ones(1024)},
    ],
)
def test_quantised_weights_are_refused(arrays: dict[str, Any], format: str, text: str) -> None:
    with pytest.raises(UnsupportedFile, match=r"quantised Keras model .* Save the model before model.quantize"):
        opened(arrays, text, format=format)


@pytest.mark.parametrize("options", [{}, {"arch": "b0"}, {"dialect": "keras-applications"}, {"spec": SPEC}])
@pytest.mark.parametrize(
    ("policy", "mode"),
    [
        ({"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "float32"}}, "int8"),
        ({"class_name": "Int4DTypePolicy", "config": {"mode": "int4/128", "source_name": "float32"}}, "int4/128"),
        ("int8_from_mixed_bfloat16", "int8"),
    ],
)
def test_policies_of_quantised_layers_are_refused(policy: object, mode: str, options: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedFile, match=rf"quantised Keras model \({mode}\)"):
        opened({}, json.dumps({"config": {"layers": [{"config": {"name": "d", "dtype": policy}}]}}), **options)


@pytest.mark.parametrize(
    "policy", ["float32", "mixed_bfloat16", {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}]
)
def test_other_policies_and_integers_are_read(policy: object) -> None:
    text = json.dumps({"config": {"layers": [{"config": {"name": "d", "dtype": policy}}]}})
    rest = {
        "seed_generator/seed_generator_state": np.ones(2, "u4"),
        "out/vars/0": np.ones((FEATURES, 3)),
        "out/vars/1": np.ones(3),
    }
    assert opened(rest, text).spec.classifier is not None
