"""How often a network of keras.applications V1 divides, by the layers that a file lists, in memory.

tests/foreign compares with what Keras computes from such files.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from converters import Checkpoint, SourceOptions
from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import resolve
from tests.converters.memory import in_dialect
from tests.lively import lively_state

V1 = resolve("b0", width=0.13, depth=0.5, num_classes=10)
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
ONCE, TWICE = tuple(255 * np.sqrt(DEVIATION)), tuple(255 * DEVIATION)
BY_LAYERS_ONCE, BY_LAYERS_TWICE = "divides by their roots once", "as the layers that the file lists do"
NO_WORD, UNCLEAR = "Keras divides once when such a file is loaded by path", "do not tell which it is"


def opened(listed: Mapping[str, str | None], *, prefix: str = "", variance: np.ndarray = DEVIATION) -> Checkpoint:
    """A file with the published numbers, which also lists these layers, with their classes as far as it tells them."""
    stored = {"mean": MEAN, "variance": variance, "count": 0}
    arrays = in_dialect("keras-applications", V1, lively_state(V1))
    arrays |= {f"normalization/{leaf}": np.asarray(value, np.float32) for leaf, value in stored.items()}
    reader = MemoryReader({prefix + name: array for name, array in arrays.items()}, path=Path("m"), format="memory")
    own = {name.rpartition("/")[0] for name in reader.tensors}
    reader.layers = frozenset({*own, *listed})
    reader.layer_classes = {layer: kind for layer, kind in listed.items() if kind is not None}
    return understand(reader, SourceOptions())


RESCALING, PLAIN = {"net/rescaling_3": "rescaling"}, {"net/stem_activation": "activation"}
CASES = [
    (PLAIN | RESCALING, "net/", ONCE, BY_LAYERS_ONCE),
    (PLAIN | {"net/to_unit": "rescaling"}, "net/", ONCE, BY_LAYERS_ONCE),
    (RESCALING | {"rescaling": "rescaling"}, "net/", ONCE, BY_LAYERS_ONCE),  # one of the model around the network
    (PLAIN | RESCALING | {"net/rescaling_4": "rescaling"}, "net/", TWICE, BY_LAYERS_TWICE),
    (RESCALING | {"net/tf.math.truediv_1": "tf_op_lambda"}, "net/", TWICE, BY_LAYERS_TWICE),
    (RESCALING | {"net/a": "rescaling", "net/b": "rescaling"}, "net/", TWICE, UNCLEAR),
    (RESCALING | {"net/prepare": "lambda"}, "net/", TWICE, UNCLEAR),
    ({"rescaling": "rescaling"}, "", ONCE, BY_LAYERS_ONCE),
    ({"rescaling": "rescaling", "rescaling_1": "rescaling"}, "", TWICE, UNCLEAR),  # one of them may be the user's own
    (PLAIN, "net/", TWICE, NO_WORD),
    (dict.fromkeys(RESCALING), "net/", TWICE, NO_WORD),  # .h5, which the published files are: one layer of two
    ({}, "", TWICE, NO_WORD),
]


@pytest.mark.parametrize(("listed", "prefix", "scale", "said"), CASES)
def test_published_deviations_count_as_often_as_layers_divide(
    listed: Mapping[str, str | None], prefix: str, scale: tuple[float, ...], said: str
) -> None:
    found = opened(listed, prefix=prefix)
    np.testing.assert_allclose(found.spec.preprocessing.scale, scale, rtol=1e-6)
    [note] = [note for note in found.notes if note.startswith("Images are normalised")]
    assert said in note
    others = {BY_LAYERS_ONCE, BY_LAYERS_TWICE, NO_WORD} - {said}
    assert [other for other in others if other in note] == ([NO_WORD] if said == UNCLEAR else [])
    assert ("--spec FILE.json" in note) is (NO_WORD in note)


@pytest.mark.parametrize("listed", [RESCALING, RESCALING | {"net/rescaling_4": "rescaling"}])
def test_other_numbers_are_divided_by_once(listed: Mapping[str, str]) -> None:
    found = opened(listed, prefix="net/", variance=DEVIATION**2)
    np.testing.assert_allclose(found.spec.preprocessing.scale, TWICE, rtol=1e-6)
    assert any("as tensors of the file say" in note for note in found.notes)
