"""Definitions that end elsewhere than in one dense classifier."""

import json
from dataclasses import replace

import pytest

from effnet_core import (
    HiddenDense,
    HiddenNorm,
    InvalidOption,
    InvalidSpec,
    Pooling,
    UnknownEndpoint,
    classifier_of,
    configured,
    counts,
    described,
    endpoints,
    features_pooling,
    from_json,
    parameters,
    resolve,
    select_endpoints,
    to_json,
    with_classes,
    without_background,
    without_classifier,
    without_head,
)
from tests.heads import narrow, with_hidden

SPEC = narrow()
HIDDEN = with_hidden(SPEC, pooling=Pooling.MAX)


def changed(spec, **fields):
    return replace(spec, classifier=replace(classifier_of(spec, wanted="classes"), **fields))


@pytest.mark.parametrize("spec", [HIDDEN, without_classifier(HIDDEN), without_head(HIDDEN)])
def test_they_survive_json(spec):
    assert from_json(to_json(spec)) == spec


def test_json_from_before_hidden_layers_is_read():
    document = json.loads(to_json(SPEC))
    del document["network"]["classifier"]["hidden"]
    del document["network"]["classifier"]["pooling"]
    assert from_json(json.dumps(document)) == SPEC
    del document["network"]["classifier"]["num_classes"]
    with pytest.raises(InvalidSpec, match="num_classes"):
        from_json(json.dumps(document))


@pytest.mark.parametrize(
    ("layer", "problem"),
    [
        ({"kind": "HiddenPooling"}, "expected one of HiddenDense, HiddenNorm, HiddenActivation, HiddenDropout"),
        ({"kind": "HiddenDropout", "dropout_rate": 1.0}, "dropout_rate of the hidden layer 0 is 1.0"),
        ({"kind": "HiddenNorm", "channels": 12, "epsilon": 0.0, "decay": 0.9}, "expected a positive epsilon"),
        ({"kind": "HiddenNorm", "channels": 12, "epsilon": 0.1, "decay": 0.9}, "head gives .* hidden layer 0 takes 12"),
        ({"kind": "HiddenActivation", "activation": "mish"}, "expected one of swish"),
    ],
)
def test_json_of_impossible_hidden_layers_is_refused(layer, problem):
    document = json.loads(to_json(HIDDEN))
    document["network"]["classifier"]["hidden"][0] = layer
    with pytest.raises(InvalidSpec, match=problem):
        from_json(json.dumps(document))


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda: replace(SPEC, head=None), "a classifier, but no head"),
        (lambda: changed(SPEC, pooling=Pooling.NONE), "no pooling before it"),
        (lambda: changed(HIDDEN, in_channels=8), "hidden layer 4 gives 7 channels, classifier takes 8"),
        (lambda: changed(HIDDEN, hidden=HIDDEN.classifier.hidden[1:]), "hidden layer 0 takes 12"),
        (
            lambda: changed(SPEC, hidden=(HiddenNorm(channels=0, epsilon=1e-3, decay=0.9),)),
            "channels of the hidden layer 0 is 0, expected at least 1",
        ),
    ],
)
def test_contradictions(build, problem):
    with pytest.raises(InvalidSpec, match=problem):
        build()


def test_names_and_shapes_in_forward_order():
    inside = [item for item in parameters(HIDDEN) if item.part == "hidden"]
    assert [(item.name, item.shape) for item in inside] == [
        ("hidden.0.kernel", (HIDDEN.head.out_channels, 12)),
        ("hidden.0.bias", (12,)),
        *((f"hidden.1.{leaf}", (12,)) for leaf in ("gamma", "beta", "mean", "variance")),
        ("hidden.3.kernel", (12, 7)),
        *((f"hidden.4.{leaf}", (7,)) for leaf in ("gamma", "beta", "mean", "variance")),
    ]
    names = [item.name for item in parameters(HIDDEN)]
    assert names.index("head.norm.variance") + 1 == names.index("hidden.0.kernel")
    assert names[-3:] == ["hidden.4.variance", "classifier.kernel", "classifier.bias"]


def test_counts():
    whole, features, blocks = counts(HIDDEN), counts(without_classifier(HIDDEN)), counts(without_head(HIDDEN))
    channels, units = HIDDEN.head.out_channels, (12, 7, 5)
    products = channels * 12 + 12 * 7 + 7 * 5
    assert whole.trainable - features.trainable == products + 12 + 2 * 12 + 2 * 7 + 5
    assert whole.statistics - features.statistics == 2 * 12 + 2 * 7
    assert whole.multiply_adds - features.multiply_adds == products
    assert features.trainable - blocks.trainable == (HIDDEN.head.in_channels + 2) * channels
    assert units[-1] == HIDDEN.classifier.num_classes


def test_endpoints():
    assert endpoints(HIDDEN)[-8:] == ("pooled", *(f"hidden.{index}" for index in range(6)), "logits")
    assert endpoints(without_classifier(HIDDEN))[-2:] == ("head", "pooled")
    assert endpoints(without_head(HIDDEN))[-1] == f"blocks.{len(HIDDEN.blocks) - 1}"
    assert list(select_endpoints(without_head(HIDDEN), ["reduction_5"])) == ["reduction_5"]


@pytest.mark.parametrize("cut", [without_classifier, without_head])
def test_logits_of_a_network_without_classifier(cut):
    with pytest.raises(InvalidOption, match="classifier\\): there is nothing that could give logits"):
        select_endpoints(cut(SPEC), ["stem", "logits"])
    with pytest.raises(InvalidOption, match="nothing that could give dropout"):
        configured(cut(SPEC), dropout_rate=0.1)


def test_hidden_layers_belong_to_the_top():
    with pytest.raises(UnknownEndpoint, match=r"pooled; hidden\.0, .* logits only with include_top=True"):
        select_endpoints(HIDDEN, ["hidden.0"], include_top=False)


def test_pooling_of_features():
    assert features_pooling(SPEC, None) is Pooling.AVERAGE
    assert features_pooling(HIDDEN, None) is Pooling.MAX
    assert features_pooling(HIDDEN, Pooling.NONE) is Pooling.NONE
    assert features_pooling(without_head(SPEC), None) is Pooling.NONE
    with pytest.raises(InvalidOption, match="gives its last block as it is"):
        features_pooling(without_head(SPEC), Pooling.AVERAGE)


def test_other_classes_keep_hidden_layers_and_bring_a_classifier_back():
    assert with_classes(HIDDEN, 9) == changed(HIDDEN, num_classes=9)
    assert with_classes(without_classifier(resolve("b3")), 9) == resolve("b3", num_classes=9)
    with pytest.raises(InvalidSpec, match="no head and no classifier"):
        with_classes(without_head(SPEC), 9)


def test_only_a_known_background_is_cut():
    edge = resolve("edgetpu-S")
    assert (edge.classifier.num_classes, edge.classifier.label_offset) == (1001, 1)
    assert without_background(edge) == changed(edge, num_classes=1000, label_offset=0)
    for spec in (SPEC, resolve("b0", num_classes=1001), without_classifier(edge)):
        with pytest.raises(InvalidOption, match="label_offset"):
            without_background(spec)


def test_how_a_network_ends_is_said():
    assert described(HIDDEN).endswith("5 classes behind 6 hidden layers)")
    one = HiddenDense(in_channels=HIDDEN.head.out_channels, out_channels=7, activation=None)
    assert described(changed(HIDDEN, hidden=(one,))).endswith("5 classes behind 1 hidden layer)")
