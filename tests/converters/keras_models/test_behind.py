"""What layers without tensors tell of a head, in files that list them and have no configuration, in memory.

tests/foreign compares with what Keras computes from such files.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest

from converters import Checkpoint, SourceOptions
from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import InvalidOption, Pooling, resolve, without_classifier
from tests.converters.memory import in_dialect
from tests.lively import lively_state

SPEC = without_classifier(resolve("b0", width=0.13, depth=0.5))
WHOLE = resolve("b0", width=0.13, depth=0.5, num_classes=5)
OWN = {
    **dict.fromkeys(("stem_activation", "top_activation", "block2b_activation"), "activation"),
    "block1a_se_squeeze": "global_average_pooling2d",
    "block1a_se_excite": "multiply",
    "block2b_add": "add",
}
"""Some of what a network of keras.applications has."""
LISTS, NO_HEAD, TOLD = "the file lists", "That is no small head behind it", "By the layers that the file lists there is"


def opened(
    listed: Iterable[str] | Mapping[str, str],
    *,
    prefix: str = "net/",
    dense: str = "dense",
    options: SourceOptions | None = None,
) -> Checkpoint:
    """A network with a dense layer behind it; `listed` are more layers with their classes, or their names alone."""
    assert SPEC.head is not None
    arrays = {
        f"{prefix}{name}": array for name, array in in_dialect("keras-applications", SPEC, lively_state(SPEC)).items()
    }
    arrays[f"{dense}/kernel"] = np.ones((SPEC.head.out_channels, 5), np.float32)
    arrays[f"{dense}/bias"] = np.zeros(5, np.float32)
    reader = MemoryReader(arrays, path=Path("m"), format="memory")
    own = {f"{prefix}{name}": kind for name, kind in OWN.items()}
    reader.layers = frozenset({*own, *listed, *(name.rpartition("/")[0] for name in arrays)})
    reader.layer_classes = {**own, **listed} if isinstance(listed, Mapping) else {}
    return understand(reader, options or SourceOptions())


def pooling_of(found: Checkpoint) -> Pooling:
    assert found.spec.classifier is not None
    return found.spec.classifier.pooling


@pytest.mark.parametrize("prefix", ["net/", ""])
@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ({"a": "global_max_pooling2d"}, Pooling.MAX),
        ({"a": "global_average_pooling2d"}, Pooling.AVERAGE),
        (["global_max_pooling2d_3"], Pooling.MAX),
        (["max_pool"], Pooling.MAX),
        (["avg_pool"], Pooling.AVERAGE),
        ({}, None),
        (["my_pooling"], None),
    ],
)
def test_a_pooling_that_is_listed_is_that_of_the_head(
    listed: Mapping[str, str], prefix: str, expected: Pooling
) -> None:
    found = opened(listed, prefix=prefix)
    assert pooling_of(found) is (expected or Pooling.AVERAGE)
    assert any(TOLD in note for note in found.notes) is (expected is not None)
    assert any("assumed average pooling" in note for note in found.notes) is (expected is None)


@pytest.mark.parametrize("prefix", ["net/", ""])
@pytest.mark.parametrize(
    "listed",
    [
        {"multiply_2": "multiply"},
        {"gate": "multiply"},
        ["multiply_2"],
        {"add": "add"},
        ["unit_normalization"],
        {"leaky_re_lu": "leaky_re_lu"},
        ["elu_1"],
        {"mine": "my_layer"},
        {"max_pooling2d": "max_pooling2d"},
        {"head/multiply": "multiply"},
        {"a": "global_average_pooling2d", "b": "global_max_pooling2d"},
    ],
)
def test_a_head_with_layers_that_no_definition_has_is_left_out(listed: Mapping[str, str], prefix: str) -> None:
    found = opened(listed, prefix=prefix)
    assert found.spec.classifier is None
    [note] = [note for note in found.notes if NO_HEAD in note]
    assert all(layer in note.partition(NO_HEAD)[2] for layer in listed)
    assert "--spec FILE.json" in note


@pytest.mark.parametrize("prefix", ["net/", ""])
@pytest.mark.parametrize(
    "listed",
    [
        {"d": "dropout", "n": "gaussian_noise", "i": "input_layer", "f": "flatten", "s": "softmax"},
        {"r": "rescaling", "n": "normalization", "f": "random_flip", "c": "center_crop", "u": "up_sampling2d"},
        {"augment": "sequential", "augment/random_zoom": "random_zoom", "l": "lambda", "c": "concatenate"},
        {"top_dropout": "dropout", "net": "functional"},
        {"frames": "global_average_pooling3d"},
        ["gate", "my_layer", "dropout_1"],  # names alone, which do not tell
    ],
)
def test_layers_in_front_and_those_that_do_nothing_are_no_part_of_a_head(
    listed: Mapping[str, str], prefix: str
) -> None:
    assert pooling_of(opened(listed, prefix=prefix)) is Pooling.AVERAGE


def test_what_a_listing_leaves_open_is_named() -> None:
    found = opened({"activation_7": "activation", "re_lu": "re_lu"})
    assert any("The file lists activation_7, re_lu too, and not what that computes" in note for note in found.notes)
    assert not any("activation" in note for note in opened({}).notes if "too, and not" in note)


def test_a_definition_is_above_the_listing() -> None:
    plain = opened({}).spec
    found = opened({"multiply": "multiply"}, options=SourceOptions(spec=plain))
    assert found.spec == plain


@pytest.mark.parametrize(("listed", "expected"), [(["max_pool"], Pooling.MAX), (["avg_pool"], Pooling.AVERAGE)])
def test_the_network_s_own_classifier_may_stand_behind_another_pooling(listed: list[str], expected: Pooling) -> None:
    found = opened(listed, prefix="", dense="predictions")
    assert pooling_of(found) is expected
    assert any(TOLD in note for note in found.notes) is (expected is Pooling.MAX)
    kept = opened(["multiply", "avg_pool"], prefix="", dense="predictions")
    assert pooling_of(kept) is Pooling.AVERAGE
    assert any("Took the classifier as its name says" in note for note in kept.notes)


SQUEEZES, SUMS = len(WHOLE.blocks), sum(block.has_residual for block in WHOLE.blocks)


def numbered(
    multiply: int,
    add: int,
    average: int,
    *more: str,
    options: SourceOptions | None = None,
    denses: int = 1,
    prefix: str = "",
) -> Checkpoint:
    """A model whose layers have no names, with so many of the classes that the network itself has, and some more."""
    arrays = dict(in_dialect("keras-order", WHOLE, lively_state(WHOLE)))
    arrays = {f"{prefix}{name}": array for name, array in arrays.items() if not prefix or "/dense" not in name}
    assert WHOLE.head is not None
    widths = [WHOLE.head.out_channels, *[5] * denses]
    for number in range(denses):
        layer = f"layers/dense{f'_{number}' if number else ''}"
        arrays[f"{layer}/kernel"] = np.ones(widths[number : number + 2], np.float32)
        arrays[f"{layer}/bias"] = np.zeros(5, np.float32)
    reader = MemoryReader(arrays, path=Path("m"), format="memory")
    counts = {"multiply": multiply, "add": add, "global_average_pooling2d": average}
    own = {f"{prefix}layers/{kind}_{number}": kind for kind, count in counts.items() for number in range(count)}
    reader.layer_classes = own | {layer: layer.rpartition("/")[2] for layer in more}
    reader.layers = frozenset({*reader.layer_classes, *(name.rpartition("/")[0] for name in arrays)})
    return understand(reader, options or SourceOptions())


def test_layers_without_names_are_counted() -> None:
    plain = numbered(SQUEEZES, SUMS, SQUEEZES + 1)
    assert pooling_of(plain) is Pooling.AVERAGE
    assert not any(LISTS in note for note in plain.notes)
    assert pooling_of(numbered(SQUEEZES, SUMS, SQUEEZES, "layers/global_max_pooling2d")) is Pooling.MAX
    nested = "layers/functional/"
    assert pooling_of(numbered(SQUEEZES, SUMS, SQUEEZES, prefix=nested)) is Pooling.AVERAGE
    assert numbered(SQUEEZES, SUMS, SQUEEZES, "layers/multiply", prefix=nested).spec.classifier is None


@pytest.mark.parametrize(
    ("multiply", "add", "more", "named"),
    [(1, 0, (), "multiply"), (0, 1, (), "add"), (0, 0, ("layers/elu",), "elu"), (0, 0, (), None)],
)
def test_one_more_than_the_network_has_is_of_the_head(
    multiply: int, add: int, more: tuple[str, ...], named: str | None
) -> None:
    given = SourceOptions(head_activation="none")

    def found() -> Checkpoint:
        return numbered(SQUEEZES + multiply, SUMS + add, SQUEEZES + 1, *more, denses=2, options=given)

    if named is None:
        classifier = found().spec.classifier
        assert classifier is not None
        assert len(classifier.hidden) == 1
    else:
        with pytest.raises(InvalidOption, match=f"{LISTS} {named}, which"):
            found()
