"""Heads of Keras models: what their configuration says, and what no definition can say."""

import json
from pathlib import Path

import numpy as np
import pytest

from converters import SourceOptions, UnknownArchitecture
from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import HiddenNorm, Pooling
from tests.converters.heads.small_head_cases import SPEC, STATE, C, layers_in, summary, understood
from tests.converters.memory import in_dialect
from tests.heads import narrow
from tests.lively import lively_state


def layer(kind, name="x", **config):
    return {"class_name": kind, "config": {"name": name, **config}}


BODY = {
    "class_name": "Functional",
    "config": {
        "name": "efficientnetb0",
        "layers": [layer("Conv2D", "stem_conv"), layer("BatchNormalization", "top_bn")],
    },
}
SWISH = layer("Activation", activation="swish")
POOL = layer("GlobalAveragePooling2D")
NORM = layer("BatchNormalization", "n", epsilon=0.5, momentum=0.25)
LAST = layer("Dense", "out", activation="linear")


def dense(activation="linear", name="d"):
    return layer("Dense", name, activation=activation)


def configured(*layers):
    numbered = [
        {
            **one,
            "config": {
                **one["config"],
                "name": f"l{number}" if one["config"]["name"] == "x" else one["config"]["name"],
            },
        }
        for number, one in enumerate(layers)
    ]
    return {"class_name": "Sequential", "config": {"name": "s", "layers": [BODY, *numbered]}}


def of_keras(rows, *layers):
    return understood(
        layers_in("/", rows),
        dialect="keras-applications",
        prefix="efficientnetb0/",
        configuration=configured(*layers),
        options=SourceOptions(dialect="keras-applications"),
    )


DENSE = {"d": (C, 7), "out": (7, 3)}
BOTH = {"d": (C, 7), "n": 7, "out": (7, 3)}
CONFIGURED = [
    (DENSE, [POOL, dense("tanh"), LAST], "d7+tanh 3 classes"),
    (DENSE, [POOL, dense("silu"), dense("softmax", "out")], "d7+swish 3 classes"),
    (DENSE, [POOL, layer("Flatten"), dense(), layer("Dropout", rate=0.5), LAST], "d7 3 classes"),
    (DENSE, [POOL, layer("Dropout", rate=0.5), dense(), LAST], "drop 0.5 d7 3 classes"),
    (DENSE, [POOL, dense(), layer("ReLU", max_value=6.0), LAST, layer("Softmax")], "d7 relu6 3 classes"),
    (DENSE, [layer("GlobalAveragePooling2D", keepdims=True), layer("Flatten"), dense(), LAST], "d7 3 classes"),
    (BOTH, [POOL, dense("relu"), NORM, LAST], "d7+relu n7 3 classes"),
    (BOTH, [POOL, dense(), NORM, layer("Activation", activation="sigmoid"), LAST], "d7 n7 sigmoid 3 classes"),
]


@pytest.mark.parametrize(("rows", "layers", "expected"), CONFIGURED)
def test_a_configuration_says_the_rest(rows, layers, expected):
    found = of_keras(rows, SWISH, *layers)
    assert summary(found.spec.classifier) == expected
    assert any("as the model's configuration says" in note for note in found.notes)
    assert not any("assumed average pooling" in note for note in found.notes)
    norms = [layer for layer in found.spec.classifier.hidden if isinstance(layer, HiddenNorm)]
    assert all((norm.epsilon, norm.decay) == (0.5, 0.25) for norm in norms)


@pytest.mark.parametrize("kind", ["GlobalAveragePooling2D", "GlobalMaxPooling2D"])
def test_a_configuration_says_the_pooling_and_the_dropout(kind):
    found = of_keras(DENSE, SWISH, layer(kind), dense(), layer("Dropout", rate=0.5), LAST).spec.classifier
    assert (found.pooling is Pooling.MAX, found.dropout_rate) == ("Max" in kind, 0.5)


@pytest.mark.parametrize("flattens", [False, True])
def test_axes_that_the_logits_keep_are_told(flattens):
    kept = [layer("GlobalAveragePooling2D", keepdims=True), dense(), LAST, *([layer("Flatten")] if flattens else [])]
    notes = of_keras(DENSE, SWISH, *kept).notes
    assert any("without the axes of length 1" in note for note in notes) is not flattens


REFUSED = [
    ([POOL, dense("gelu"), LAST], "with 'gelu'"),
    ([POOL, dense(), layer("LeakyReLU", negative_slope=0.3), LAST], "LeakyReLU"),
    ([POOL, dense(), layer("ReLU", max_value=4.0), LAST], "ReLU"),
    ([POOL, dense(), layer("Rescaling", scale=2.0), LAST], "Rescaling"),
    ([POOL, dense(), layer("Dense", "out", activation="tanh")], "'tanh' behind the last dense layer"),
    ([POOL, dense(), LAST, layer("UnitNormalization")], "'UnitNormalization' behind the last dense layer"),
    ([dense(), POOL, LAST], "in the place of a global pooling"),
    ([dense(), LAST], "in the place of a global pooling"),
    ([layer("AveragePooling2D"), layer("Flatten"), dense(), LAST], "AveragePooling2D"),
    ([POOL, dense(), dense(name="other"), LAST], "not in the file"),
    ([POOL, dense(name="out")], "no dense layer that takes"),
    ([POOL, dense()], "no layer out behind"),
    ([POOL], "no dense layer"),
    ([POOL, layer("Dropout", rate=2), dense(), LAST], "has the rate 2"),
]


@pytest.mark.parametrize(("layers", "reason"), REFUSED)
def test_what_a_definition_cannot_say_is_left_out(layers, reason):
    found = of_keras(DENSE, SWISH, *layers)
    assert found.spec.classifier is None
    (note,) = (note for note in found.notes if "Left out 4" in note)
    assert reason in note


def test_another_activation_of_the_network_is_not_taken():
    with pytest.raises(UnknownArchitecture, match="the activation relu behind top_bn"):
        of_keras(DENSE, layer("Activation", activation="relu"), POOL, dense(), LAST)


def functional(**before):
    """A model with the network in it whose layers name those before them."""

    def entry(name, one):
        nodes = [[[other, 0, 0, {}] for other in before[name]]] if name in before else []
        return {**one, "config": {**one["config"], "name": name}, "inbound_nodes": nodes}

    named = {"net": BODY, "act": SWISH, "pool": POOL, "d": dense(), "out": LAST, "aside": POOL}
    layers = [entry(name, named[name]) for name in named]
    return {"class_name": "Functional", "config": {"name": "m", "layers": layers, "output_layers": [["out", 0, 0]]}}


@pytest.mark.parametrize(
    ("before", "is_taken"),
    [
        ({"act": ["net"], "pool": ["act"], "d": ["pool"], "out": ["d"]}, True),
        ({"act": ["net"], "pool": ["act"], "d": ["pool"], "out": ["d", "pool"]}, False),
        ({"act": ["net"], "pool": ["act"], "d": ["pool"], "out": ["d"], "aside": ["act"]}, False),
        ({"act": ["net"], "pool": ["act"], "d": ["pool"], "out": []}, False),
    ],
)
def test_a_configuration_with_branches_is_no_chain(before, is_taken):
    found = understood(
        layers_in("/", DENSE),
        dialect="keras-applications",
        prefix="net/",
        configuration=functional(**before),
        options=SourceOptions(dialect="keras-applications"),
    )
    assert (found.spec.classifier is not None) == is_taken
    assert is_taken or any("several ways" in note for note in found.notes)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"config": {"layers": 3}}', "[" * 100_000])
def test_a_configuration_of_another_model_says_nothing(text):
    body = in_dialect("keras-applications", SPEC, STATE)
    reader = MemoryReader(body | layers_in("/", DENSE), path=Path("memory"), format="memory")
    reader.metadata = {"model_config": text}
    found = understand(reader, SourceOptions())
    assert summary(found.spec.classifier) == "d7+relu 3 classes"
    assert any("assumed average pooling" in note for note in found.notes)


def test_a_classifier_with_the_dialects_own_name_is_pooled_as_configured():
    spec = narrow()
    body = in_dialect("keras-applications", spec, lively_state(spec))
    reader = MemoryReader(
        {f"efficientnetb0/{name}": array for name, array in body.items()}, path=Path("memory"), format="memory"
    )
    last = layer("Dense", "predictions", activation="softmax")
    for kind, pooling in (("GlobalMaxPooling2D", Pooling.MAX), ("GlobalAveragePooling2D", Pooling.AVERAGE)):
        reader.metadata = {"model_config": json.dumps(configured(SWISH, layer(kind), last))}
        assert understand(reader, SourceOptions()).spec.classifier.pooling is pooling
    reader.metadata = {"model_config": json.dumps(configured(SWISH, POOL, layer("LeakyReLU"), last))}
    assert any("LeakyReLU" in note for note in understand(reader, SourceOptions()).notes)


@pytest.mark.parametrize(
    ("leaf", "kind", "is_said"),
    [("vars/0", None, True), ("rows", None, False), ("vars/0", "p_re_lu", False), ("vars/0", "dense", True)],
)
def test_layers_that_keras_numbered_without_their_class_are_explained(leaf, kind, is_said):
    own = in_dialect("keras-applications", SPEC, STATE)
    arrays = own | {f"hidden/{leaf}": np.ones((C, 7), np.float32)}
    reader = MemoryReader(arrays, path=Path("m"), format="memory")
    reader.layer_classes = {} if kind is None else {"hidden": kind}
    [note] = [note for note in understand(reader, SourceOptions()).notes if "Left out" in note]
    assert ("an attribute of a subclassed keras.Model" in note) is is_said
    assert ("but to hidden (class p_re_lu), which no head of a definition has" in note) is (kind == "p_re_lu")
