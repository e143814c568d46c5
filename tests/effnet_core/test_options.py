from dataclasses import replace

import pytest

from effnet_core import (
    InvalidOption,
    InvalidSpec,
    Pooling,
    UnknownEndpoint,
    UnknownVariant,
    configured,
    resolve,
    select_endpoints,
)


def test_options_on_a_name_and_on_a_definition_are_what_resolve_makes_of_them():
    options = {"num_classes": 7, "in_channels": 1, "dropout_rate": 0.1, "drop_connect_rate": 0.4}
    assert configured("b1", **options) == resolve("b1", **options)
    assert configured(resolve("b1"), **options) == resolve("b1", **options)


def test_what_is_not_given_stays():
    spec = resolve("lite2", width=0.5, num_classes=3, drop_connect_rate=0.0, dropout_rate=0.7)
    assert configured(spec) == spec
    assert configured(spec, num_classes=4).blocks == spec.blocks
    assert configured(spec, dropout_rate=0) == replace(spec, classifier=replace(spec.classifier, dropout_rate=0.0))


@pytest.mark.parametrize(
    ("network", "options", "error"),
    [
        ("b99", {}, UnknownVariant),
        ("b0", {"num_classes": 0}, InvalidSpec),
        ("b0", {"in_channels": -1}, InvalidSpec),
        ("b0", {"dropout_rate": 1.0}, InvalidSpec),
        ("b0", {"drop_connect_rate": -0.1}, InvalidSpec),
    ],
)
def test_impossible_options(network, options, error):
    with pytest.raises(error):
        configured(network, **options)


def test_endpoints_are_selected_in_the_order_asked_for():
    chosen = select_endpoints(resolve("b0"), ["logits", "reduction_1", "reduction_5", "blocks.3.squeeze_excite"])
    assert list(chosen.items()) == [
        ("logits", "logits"),
        ("reduction_1", "blocks.0"),
        ("reduction_5", "blocks.15"),
        ("blocks.3.squeeze_excite", "blocks.3.squeeze_excite"),
    ]


@pytest.mark.parametrize("name", ["reduction_6", "blocks.0.expand", "blocks.16", "block_3", ""])
def test_unknown_endpoints(name):
    with pytest.raises(UnknownEndpoint, match="efficientnet-b0 has no endpoint named"):
        select_endpoints(resolve("b0"), ["stem", name])


def test_no_endpoints_at_all():
    with pytest.raises(InvalidOption, match="empty"):
        select_endpoints(resolve("b0"), [])


def test_no_logits_without_the_classifier():
    with pytest.raises(UnknownEndpoint, match="include_top=True"):
        select_endpoints(resolve("b0"), ["logits"], include_top=False)


def test_unknown_pooling():
    assert Pooling("average") is Pooling.AVERAGE
    with pytest.raises(InvalidOption, match="'median'; expected one of average, max, none"):
        Pooling("median")
