"""Keras models that end elsewhere than their network, in memory; tests/foreign asks Keras itself."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import Checkpoint, SourceOptions, UnknownArchitecture
from converters.keras_models.graph import graph_of
from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import CheckpointMismatch, NetworkSpec, parameters, resolve, without_classifier, without_head
from tests.converters.memory import in_dialect
from tests.lively import lively_state

SPEC = without_classifier(resolve("b0", width=0.13, depth=0.4))
WITHOUT_HEAD = without_head(SPEC)
WITH_RESIDUAL = resolve("b0")
"""Cut behind its third block, whose residual is a sum behind its last norm."""
SWISH = ("Activation", {"activation": "swish"})
POOL = ("GlobalAveragePooling2D", {})
DROP = ("Dropout", {"rate": 0.2})


def layer(kind: str, name: str, **settings: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, **settings}}


def sequential(*layers: dict[str, Any], name: str = "outer") -> dict[str, Any]:
    return layer("Sequential", name, layers=list(layers))


def behind(*kinds: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [layer(kind, f"l{number}", **settings) for number, (kind, settings) in enumerate(kinds)]


def opened(spec: NetworkSpec, model: dict[str, Any], *, options: SourceOptions | None = None) -> Checkpoint:
    arrays = in_dialect("keras-applications", spec, lively_state(spec))
    reader = MemoryReader(arrays, path=Path("m"), format="memory")
    reader.metadata = {"model_config": json.dumps(model)}
    return understand(reader, options or SourceOptions())


NORM = layer("BatchNormalization", "top_bn", epsilon=1e-3)
OPTIONS = pytest.mark.parametrize(
    "options",
    [None, SourceOptions(arch="b0", width=0.13, depth=0.4), SourceOptions(dialect="keras-applications")],
)


@OPTIONS
@pytest.mark.parametrize("rest", [[], [DROP], [DROP, ("Identity", {})]])
def test_a_model_without_the_last_activation_is_refused(rest: list[Any], options: SourceOptions | None) -> None:
    with pytest.raises(UnknownArchitecture, match=r"ends at BatchNormalization top_bn; expected the activation swish"):
        opened(SPEC, sequential(NORM, *behind(*rest)), options=options)
    assert opened(SPEC, sequential(NORM, *behind(*rest, SWISH)), options=options).spec == opened_usual().spec


def opened_usual() -> Checkpoint:
    return opened(SPEC, sequential(NORM, *behind(SWISH)))


def test_its_definition_takes_it_all_the_same() -> None:
    assert opened(SPEC, sequential(NORM), options=SourceOptions(spec=SPEC)).spec == SPEC


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ([], "the model in the file ends at BatchNormalization inner/top_bn"),
        ([POOL], "the activation linear behind top_bn"),
        ([("Activation", {"activation": "relu"}), POOL], "the activation relu behind top_bn"),
    ],
)
def test_the_activation_may_stand_in_the_model_around_it(rest: list[Any], said: str) -> None:
    inner = sequential(NORM, name="inner")
    with pytest.raises(UnknownArchitecture, match=said):
        opened(SPEC, sequential(inner, *behind(*rest)))
    assert opened(SPEC, sequential(inner, *behind(SWISH, *rest[-1:]))).spec == opened_usual().spec


def test_a_layer_of_which_nobody_knows_what_it_does_is_named() -> None:
    notes = opened(SPEC, sequential(NORM, *behind(("Swish", {})))).notes
    assert any(
        "the activation 'Swish' behind top_bn, which is not known here: taken for swish" in note for note in notes
    )
    assert not any("not known here" in note for note in opened_usual().notes)


def functional(outputs: list[str], **before: list[str]) -> dict[str, Any]:
    kinds = {"top_bn": NORM, "activation": layer("Activation", "activation", activation="swish")}
    layers = [
        kinds.get(name, layer("Conv2D", name))
        | {"inbound_nodes": [[[one, 0, 0, {}] for one in names]] if names else []}
        for name, names in before.items()
    ]
    return layer("Functional", "f", layers=layers, output_layers=[[name, 0, 0] for name in outputs])


def test_several_outputs() -> None:
    both = {"other": [], "top_bn": ["other"], "activation": ["top_bn"]}
    notes = opened(SPEC, functional(["other", "activation"], **both)).notes
    assert any("The model has several outputs" in note for note in notes)
    assert not any("several" in note for note in opened(SPEC, functional(["activation"], **both)).notes)
    with pytest.raises(UnknownArchitecture, match="ends at BatchNormalization top_bn"):
        opened(SPEC, functional(["other", "top_bn"], other=[], top_bn=["other"]))


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ([SWISH], ""),
        ([SWISH, POOL], ""),
        ([SWISH, POOL, DROP, ("Flatten", {})], ""),
        ([SWISH, POOL, ("UnitNormalization", {})], "the model has UnitNormalization l2, which is left out"),
        ([SWISH, ("AveragePooling2D", {}), ("Flatten", {})], "AveragePooling2D l1, Flatten l2, which are left out"),
        ([SWISH, ("Flatten", {})], "the model has Flatten l1, which is left out"),
    ],
)
def test_what_a_model_does_with_its_features_is_named(rest: list[Any], said: str) -> None:
    [note] = [note for note in opened(SPEC, sequential(NORM, *behind(*rest))).notes if "gives features" in note]
    assert note.endswith(f"{said}." if said else "(pooling).")


def cut_behind_a_residual(model: list[dict[str, Any]]) -> Checkpoint:
    arrays = in_dialect("keras-applications", WITH_RESIDUAL, lively_state(WITH_RESIDUAL))
    kept = sum(parameter.block is None and parameter.part.startswith("stem") for parameter in parameters(WITH_RESIDUAL))
    kept += sum(parameter.block in (0, 1, 2) for parameter in parameters(WITH_RESIDUAL))
    reader = MemoryReader(dict(list(arrays.items())[:kept]), path=Path("m"), format="memory")
    reader.metadata = {"model_config": json.dumps(sequential(*model))}
    return understand(reader, SourceOptions())


LAST = layer("BatchNormalization", "block2b_project_bn")


def test_a_block_without_the_sum_at_its_end_is_refused() -> None:
    spec = cut_behind_a_residual([LAST, *behind(DROP, ("Add", {}))]).spec
    assert (len(spec.blocks), spec.head) == (3, None)
    for rest in ([], [DROP], [POOL]):
        with pytest.raises(
            UnknownArchitecture, match=r"ends at BatchNormalization block2b_project_bn; expected the .* Add"
        ):
            cut_behind_a_residual([LAST, *behind(*rest)])


def test_a_block_without_a_residual_ends_with_its_norm() -> None:
    last = layer("BatchNormalization", "block7a_project_bn")
    assert opened(WITHOUT_HEAD, sequential(last)).spec.head is None
    with pytest.raises(UnknownArchitecture, match="the activation relu behind block7a_project_bn"):
        opened(WITHOUT_HEAD, sequential(last, layer("ReLU", "r")))


def test_layers_of_a_network_without_head_are_looked_at() -> None:
    last, stem = layer("BatchNormalization", "block7a_project_bn"), layer("BatchNormalization", "stem_bn")
    model = sequential(stem, layer("ReLU", "r"), last)
    with pytest.raises(UnknownArchitecture, match="the activation relu behind stem_bn"):
        opened(WITHOUT_HEAD, model)


def test_a_folded_network_is_not_compared_and_says_so() -> None:
    spec = replace(SPEC, norm=None)
    arrays = in_dialect("effnet-keras", spec, lively_state(spec))
    reader = MemoryReader(arrays, path=Path("m"), format="memory")
    reader.metadata = {"model_config": json.dumps(sequential(layer("Conv2D", "head.conv"), layer("ReLU", "r")))}
    assert any("configuration is not compared" in note for note in understand(reader, SourceOptions()).notes)
    assert not any("not compared" in note for note in opened_usual().notes)


def test_a_convolution_at_the_end_is_named() -> None:
    arrays = in_dialect("keras-applications", SPEC, lively_state(SPEC))
    arrays = {name: array for name, array in arrays.items() if not name.startswith("top_bn")}
    reader = MemoryReader(arrays, path=Path("m"), format="memory")
    for kind, is_named in (("Conv2D", True), ("Activation", False)):
        reader.metadata = {"model_config": json.dumps(sequential(layer(kind, "top_conv")))}
        with pytest.raises(CheckpointMismatch) as refusal:
            understand(reader, SourceOptions())
        assert ("By its configuration the model ends at Conv2D top_conv" in str(refusal.value)) is is_named


def test_the_graph_goes_through_models() -> None:
    inner = layer(
        "Functional",
        "inner",
        layers=[
            layer("InputLayer", "i") | {"inbound_nodes": []},
            layer("Conv2D", "a") | {"inbound_nodes": [[["i", 0, 0, {}]]]},
            layer("Conv2D", "b") | {"inbound_nodes": [[["i", 0, 0, {}]]]},
        ],
        output_layers=[["a", 0, 0], ["b", 0, 0]],
    )
    graph = graph_of(json.dumps(sequential(layer("Rescaling", "r"), inner, sequential(DENSE, name="head"))))
    assert graph is not None
    assert set(graph.layers) == {"r", "inner/i", "inner/a", "inner/b", "head/d"}
    first, last = graph.find("r"), graph.find("d")
    assert first is not None
    assert last is not None
    assert [one.path for one in graph.following(first).layers] == ["inner/i"]
    assert [one.path for one in graph.following(first, passing={"InputLayer"}).layers] == ["inner/a", "inner/b"]
    assert [one.path for one in graph.following(graph.layers["inner/a"]).layers] == ["head/d"]
    assert graph.following(last) == ((), (last,))
    assert graph.outputs == (last,)
    assert graph_of("[]") is None


DENSE = layer("Dense", "d")


def test_models_that_refer_to_each_other_without_end_are_taken_in_bounded_time() -> None:
    names = [f"n{number}" for number in range(3000)]
    inner = functional(names, **{name: [] for name in names})
    outer = functional(names, **dict.fromkeys(names, names[:1]))
    graph = graph_of(json.dumps(sequential(inner, outer)))
    assert graph is not None
    assert sum(map(len, graph.after.values())) < 8 * len(names)
    assert len(np.unique([layer.path for layer in graph.outputs])) == len(names)
