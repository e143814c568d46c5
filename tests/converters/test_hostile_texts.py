"""Texts beside and inside checkpoints that are damaged or lie: configurations and indices.

Each is refused, or read without harm: the arrays are those that were written, and the definition is a sound one.
"""

from __future__ import annotations

import json
import marshal
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import safetensors.numpy

from converters import DIALECTS, SourceOptions, open_checkpoint, save_state
from converters.dialects._huggingface_config import companions
from converters.dialects.dialect import StoredNormalisation
from converters.formats import open_reader
from converters.formats._keras_configured import layer_names
from converters.formats.base import Reader
from converters.keras_models.config import UnclearModel, layers_behind
from converters.keras_models.end import unusual_end
from converters.keras_models.graph import graph_of
from converters.keras_models.normalisation import stated_normalisation
from converters.meaning import configured, normalised_by
from effnet_core import EffnetError, NetworkSpec, from_json, parameters, resolve, to_json
from tests.converters.formats import containers
from tests.converters.hostile_texts import cases
from tests.converters.memory import equal
from tests.lively import lively_state

SPEC = resolve("b0", width=0.38, depth=0.3, num_classes=3)
STATED = resolve("b0", width=0.38, depth=0.3, num_classes=3, resolution=96, dropout_rate=0.5)
STATE = lively_state(SPEC)
ARRAYS = {name: containers.lively("f4", (index + 1, 3)) for index, name in enumerate("abcd")}
CONFIG, PROCESSOR, INDEX = "config.json", "preprocessor_config.json", "model.safetensors.index.json"
TIMM = {
    "architecture": "tf_efficientnet_b0",
    "num_classes": 3,
    "pretrained_cfg": {
        "input_size": [3, 80, 80],
        "test_input_size": [3, 96, 96],
        "interpolation": "bilinear",
        "crop_pct": 0.9,
        "test_crop_pct": 0.95,
        "crop_mode": "center",
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.3, 0.4],
    },
}
COMPANIONS: dict[str, tuple[str, str, Mapping[str, Any]]] = {
    "transformers, config": ("huggingface", CONFIG, json.loads(companions(STATED)[CONFIG])),
    "transformers, processor": ("huggingface", PROCESSOR, json.loads(companions(STATED)[PROCESSOR])),
    "timm": ("timm", CONFIG, TIMM),
}
"""Dialect, file and its honest content."""


def said(reader: Reader, dialect: str) -> NetworkSpec:
    """The network with what the files beside the weights say; it can be written, read, built and computed with."""
    found = configured(SPEC, DIALECTS[dialect], reader.metadata)
    spec = found.spec
    if found.pixels is not None:
        spec = replace(spec, preprocessing=normalised_by(spec.preprocessing, found.pixels))
    assert [(one.name, one.shape) for one in parameters(spec)] == [(one.name, one.shape) for one in parameters(SPEC)]
    assert from_json(to_json(spec)) == spec
    rule = spec.preprocessing
    assert np.isfinite(np.array([*rule.mean, *rule.scale, spec.norm.epsilon], np.float32)).all()
    assert min(np.float32([*rule.scale, spec.norm.epsilon])) > 0
    assert 0 < rule.resolution <= 8192
    assert getattr(rule.crop, "side", 0) < 1_000_000
    assert max((len(note) for note in (*found.notes, *reader.notes)), default=0) < 1000
    return spec


@pytest.mark.parametrize("kind", COMPANIONS)
def test_companions(kind: str, tmp_path: Path) -> None:
    dialect, file, honest = COMPANIONS[kind]
    safetensors.numpy.save_file(ARRAYS, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / file).write_text(json.dumps(honest))
    with open_reader(tmp_path) as reader:
        control = said(reader, dialect)
    assert control != SPEC
    hostile = list(cases(honest, values=4 if dialect == "timm" else 2))
    assert len(hostile) >= 150
    found: list[NetworkSpec] = []
    for _, text in hostile:
        (tmp_path / file).write_bytes(text)
        with open_reader(tmp_path) as reader:
            found.append(said(reader, dialect))
            assert containers.same({name: reader.read(name).copy() for name in reader.tensors}, ARRAYS)
    assert SPEC in found
    assert control in found
    assert len({to_json(spec) for spec in found}) > 3


BOMBS = {
    "many objects": b"[" + b"{}," * 1_000_000 + b"{}]",
    "a long list": b'{"model_type": "efficientnet", "depthwise_padding": [' + b"1," * 800_000 + b"1]}",
    "a long text": b'{"architecture": "efficientnet' + b"x" * 4_000_000 + b'"}',
    "too large": b'{"model_type": "efficientnet"' + b" " * (5 << 20) + b"}",
}


@pytest.mark.parametrize("case", BOMBS)
def test_large_companions(case: str, tmp_path: Path) -> None:
    safetensors.numpy.save_file(ARRAYS, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / CONFIG).write_bytes(BOMBS[case])
    with containers.bounded(megabytes=250, seconds=20), open_reader(tmp_path) as reader:
        assert all(said(reader, dialect) == SPEC for dialect in ("huggingface", "timm"))


def test_a_hostile_index(tmp_path: Path) -> None:
    files = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    safetensors.numpy.save_file({name: ARRAYS[name] for name in "ab"}, tmp_path / files[0])
    safetensors.numpy.save_file({name: ARRAYS[name] for name in "cd"}, tmp_path / files[1])
    size = sum(array.nbytes for array in ARRAYS.values())
    weight_map = {name: files[name in "cd"] for name in ARRAYS}
    honest = {"metadata": {"total_size": size}, "weight_map": weight_map}
    messages: list[str] = []
    read = 0
    for _, text in [("control", json.dumps(honest).encode()), *cases(honest, values=20)]:
        (tmp_path / INDEX).write_bytes(text)
        try:
            assert containers.same(containers.read("hf-folder", tmp_path), ARRAYS)
            read += 1
        except EffnetError as error:
            messages.append(str(error))
    assert len(messages) >= 100
    assert max(map(len, messages)) < 1500
    assert read >= 10


# Configurations of Keras


def layer(kind: str, name: str, before: str | None, **config: object) -> dict[str, Any]:
    nodes = [] if before is None else [[[before, 0, 0, {}]]]
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}


KERAS = {
    "class_name": "Functional",
    "config": {
        "name": "outer",
        "layers": [
            layer("InputLayer", "image", None, batch_shape=[None, 96, 96, 3]),
            layer("Rescaling", "rescaling", "image", scale=0.01, offset=0.5),
            layer("Normalization", "normalization", "rescaling", mean=[[0.5, 0.4, 0.3]], variance=[[0.2, 0.3, 0.4]]),
            layer("Conv2D", "stem_conv", "normalization"),
            layer("Dense", "predictions", "stem_conv"),
        ],
        "output_layers": [["predictions", 0, 0]],
    },
}
TENSORS = {
    "stem_conv/kernel": containers.lively("f4", (3, 3, 3, 4)),
    "predictions/kernel": containers.lively("f4", (4, 2)),
}


def archive(path: Path, config: bytes) -> Path:
    """A `.keras` with that configuration."""
    weights = path.with_suffix(".weights.h5")
    if not weights.exists():
        containers.write("keras-weights", weights, TENSORS, {})
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", config)
        file.write(weights, "model.weights.h5")
    return path


def whole_model(path: Path, config: bytes) -> Path:
    """An `.h5` with that configuration."""
    path.unlink(missing_ok=True)
    containers.write("keras-h5", path, TENSORS, {})
    with h5py.File(path, "r+") as file:
        file.attrs.create("model_config", np.bytes_(config or b" ") if len(config) < 60_000 else config)
    return path


def understood(reader: Reader) -> object:
    """What the configuration says of the way to and from the network."""
    text = reader.metadata.get("model_config", "")
    layer_names(text)
    with suppress(UnclearModel):
        layers_behind(text, "stem_conv")
    graph = graph_of(text)
    last = None if graph is None else graph.find("predictions")
    if graph is not None and last is not None:
        graph.following(last, passing={"Dense"})
    unusual_end(text)
    tensors = StoredNormalisation(mean="normalization/mean", variance="normalization/variance", count="count")
    stated = stated_normalisation(reader, stem="stem_conv", tensors=tensors, names={})
    if stated is not None and stated.pixels is not None:
        numbers = np.array([*stated.pixels.mean, *stated.pixels.scale], np.float32)
        assert np.isfinite(numbers).all()
        assert (numbers[3:] != 0).all()
        assert len(stated.note) < 2000
    return stated


@pytest.mark.parametrize("kind", ["keras", "keras-h5"])
def test_configurations_of_keras(kind: str, tmp_path: Path) -> None:
    build = archive if kind == "keras" else whole_model
    with open_reader(build(tmp_path / f"x.{kind}", json.dumps(KERAS).encode())) as reader:
        control = understood(reader)
    assert control is not None
    found: list[object] = []
    hostile = list(cases(KERAS, values=3))
    assert len(hostile) >= 200
    for _, text in hostile:
        try:
            with open_reader(build(tmp_path / f"x.{kind}", text)) as reader:
                found.append(understood(reader))
                arrays = {name: reader.read(name).copy() for name in reader.tensors}
        except EffnetError:
            continue
        assert [array.tobytes() for array in arrays.values()] == [array.tobytes() for array in TENSORS.values()]
    assert len(found) > 150
    assert control in found
    assert None in found


def test_a_large_configuration_of_keras(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.keras", b"[" + b"{}," * 5_000_000 + b"{}]")
    with containers.bounded(megabytes=250, seconds=20), open_reader(path) as reader:
        assert understood(reader) is None


# Code


def test_nothing_that_a_text_names_is_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    source = f"open({str(canary)!r}, 'w').close()"
    code = b64encode(marshal.dumps(compile(source, "x", "exec"))).decode()
    function = {"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "exec"}
    run = layer("Lambda", "run", "image", function=[code, None, None], function_type="lambda", arguments={"x": source})
    config = {**KERAS["config"], "layers": [*KERAS["config"]["layers"][:1], run, *KERAS["config"]["layers"][1:]]}
    text = json.dumps({**KERAS, "config": config, "build_config": function, "compile_config": function}).encode()
    for path in (archive(tmp_path / "x.keras", text), whole_model(tmp_path / "x.h5", text)):
        with open_reader(path) as reader:
            understood(reader)
    model = tmp_path / "model"
    model.mkdir()
    save_state(model / "model.safetensors", SPEC, STATE, to="timm", sync=False)
    (model / "modeling.py").write_text(source)
    auto = {"auto_map": {"AutoModel": "modeling.Model"}, "trust_remote_code": True}
    (model / CONFIG).write_text(json.dumps(TIMM | auto))
    with open_checkpoint(model, SourceOptions(dialect="timm")) as checkpoint:
        assert equal(checkpoint.state(), STATE)
    assert not canary.exists()
    exec(marshal.loads(b64decode(code)))  # the control: the code does run
    assert canary.exists()
