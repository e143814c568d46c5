"""The logits of keras.applications (Keras 3.15), V1 and V2, both ways, in every kind of file that Keras writes.

Its networks take pixels and normalise them; ours are given what the definition of the file that was read says.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

import effnet
from converters import DIALECTS, SourceOptions, open_checkpoint, save_state
from converters.names.naming import table
from effnet.backends import Network as OurNetwork
from effnet.choices import Backend
from effnet_core import resolve
from effnet_core.naming import canonical_name
from tests.compared import KERAS_ORDER
from tests.converters.memory import equal
from tests.foreign.comparison import check_back, check_controls, check_there, our_logits, too_far
from tests.foreign.judge import SIZES, WIDTH, Judge, Made, Network, judging, narrow

KINDS = (".keras", ".weights.h5", ".h5", "legacy weights")
NARROW = {
    "EfficientNetB0": narrow("EfficientNetB0"),
    "EfficientNetV2B0": narrow("EfficientNetV2B0"),
    "EfficientNetV2S": narrow("EfficientNetV2S", width=0.5, depth=0.25),
}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with judging("keras.applications", tmp_path_factory.mktemp("keras")) as judge:
        yield judge


def dialect_of(name: str) -> str:
    return "keras-applications-v2" if "V2" in name else "keras-applications"


def as_defined(network: OurNetwork) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Pixels normalised as the definition says."""
    prepared = network.spec.preprocessing
    return lambda pixels: (pixels - np.array(prepared.mean)) / np.array(prepared.scale)


def as_keras_rounds(network: OurNetwork) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """The same with the constants that Keras keeps in float32 even where it computes in float64: 1 / 255, the means and
    the variances. Those of (pixel - 128) / 128 are exact.
    """
    prepared = network.spec.preprocessing
    if prepared.scale[0] == 128:
        return as_defined(network)
    mean = np.float32(np.array(prepared.mean) / 255).astype(np.float64)
    variance = np.float32((np.array(prepared.scale) / 255) ** 2).astype(np.float64)
    return lambda pixels: (pixels * np.float64(np.float32(1 / 255)) - mean) / np.sqrt(variance)


def check_kinds(made: Made) -> None:
    """Whatever file is read, the logits are those of the network that wrote it; dialect and network are recognised."""
    keys = [key for key in made.logits if key.endswith("float32")][:1]
    for kind in KINDS:
        ours = effnet.load_network(made.files[kind])
        found = our_logits(ours, made, keys, backend=Backend.TORCH, prepare=as_defined(ours))
        assert too_far(found, made.logits) == {}, kind


def test_stages_of_more_blocks_than_the_alphabet_has_letters(judge: Judge) -> None:
    """The published networks have fewer; tests/converters/dialects/test_keras_names.py has the names of all of them."""
    shapes = judge.shapes(narrow("EfficientNetV2S", depth=1.8))
    spec = resolve("v2-s", width=WIDTH, depth=1.8, num_classes=10)
    entries = table(DIALECTS["keras-applications-v2"], spec, scope="")
    assert "block6{_bn/gamma" in shapes
    # Keras 3 calls the kernels of depthwise convolutions kernel, Keras 2, whose names are written, depthwise_kernel.
    assert {entry.name.replace("/depthwise_kernel", "/kernel"): entry.shape for entry in entries} == shapes


@pytest.mark.parametrize("name", NARROW)
def test_narrow(name: str, judge: Judge, tmp_path: Path) -> None:
    made = judge.make(NARROW[name], sizes=SIZES[:2])
    check_kinds(made)
    prepare = as_keras_rounds(effnet.load_network(made.files[".keras"]))
    ours = check_there(made, ".keras", SourceOptions(), prepare=prepare)
    check_controls(ours, made, prepare=prepare)
    for suffix in (".weights.h5", ".h5"):
        check_back(judge, made, ours, tmp_path / f"ours{suffix}", to=dialect_of(name))


@pytest.mark.parametrize("name", ["EfficientNetV2B0", "EfficientNetV2S"])
def test_weights_alone_tell_whether_the_network_normalises(name: str, tmp_path: Path) -> None:
    """By the layers that Keras lists without any numbers of theirs."""
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    from keras.src.legacy.saving import legacy_h5_format  # noqa: PLC0415 - needs Keras

    build: Any = getattr(keras.applications, name)
    notes: dict[tuple[str, bool], tuple[str, ...]] = {}
    for inside in (True, False):
        model = build(weights=None, include_top=False, input_shape=(64, 64, 3), include_preprocessing=inside)
        files = {suffix: tmp_path / f"{inside}{suffix}" for suffix in (".weights.h5", ".h5")}
        model.save_weights(files[".weights.h5"])
        with h5py.File(files[".h5"], "w") as legacy:
            legacy_h5_format.save_weights_to_hdf5_group(legacy, model)
        for suffix, file in files.items():
            with open_checkpoint(file) as checkpoint:
                notes[suffix, inside] = checkpoint.notes
    for (suffix, inside), found in notes.items():
        assert any("The network in the file does so itself" in note for note in found) is inside, suffix
        assert any("include_preprocessing=False" in note for note in found) is not inside, suffix
        assert any("set it with --recipe" in note for note in found) or inside, suffix


@pytest.mark.parametrize("name", KERAS_ORDER)
def test_layers_without_names(name: str, judge: Judge, tmp_path: Path) -> None:
    """`.weights.h5` as Keras 2 writes it: the class of a layer and its number, no name."""
    made = judge.make(narrow(name), sizes=SIZES[:1], dtypes=["float32"])
    target = tmp_path / "numbered.weights.h5"
    shutil.copy(made.files[".weights.h5"], target)
    with h5py.File(target, "r+") as file:
        groups: list[h5py.Group] = []
        file.visititems(lambda _, item: groups.append(item))
        named = [group for group in groups if "name" in group.attrs]
        assert len(named) > 10
        for group in named:
            del group.attrs["name"]
    ours = effnet.load_network(target)
    assert any("numbers its layers" in note for note in ours.notes)
    assert ours.spec.name == canonical_name(name)
    original = effnet.load_network(made.files[".weights.h5"])
    assert (ours.spec, equal(ours.state, original.state)) == (original.spec, True)
    found = our_logits(ours, made, made.logits, backend=Backend.TORCH, prepare=as_defined(ours))
    assert too_far(found, made.logits) == {}


def test_weights_imagenet(judge: Judge, tmp_path: Path) -> None:
    """V1 networks made with `weights="imagenet"` divide once more, by the square root of the standard deviation.

    Written for Keras, the normalisation stands in the tensors as a network without that division needs it.
    """
    made = judge.make(Network(name="EfficientNetB0 imagenet", classes=1000), sizes=[(224, 224)], dtypes=["float32"])
    check_kinds(made)
    ours = effnet.load_network(made.files[".h5"])
    assert ours.spec.preprocessing.scale == pytest.approx((255 * 0.229, 255 * 0.224, 255 * 0.225), rel=1e-6)
    plain = replace(made, network=Network(name="EfficientNetB0", classes=1000))
    save_state(tmp_path / "ours.h5", ours.spec, ours.state, to="keras-applications", sync=False)
    assert too_far(judge.logits(tmp_path / "ours.h5", like=plain), made.logits) == {}
    # The control: the network's own file in a network without the division.
    by_path = judge.logits(made.files["legacy weights"], like=plain)
    assert too_far(by_path, made.logits, factor=100).keys() == made.logits.keys()


def test_native_size(judge: Judge, tmp_path: Path) -> None:
    made = judge.make(Network(name="EfficientNetV2B0", classes=1000), sizes=[(224, 224)], dtypes=["float32"])
    ours = effnet.load_network(made.files[".h5"])
    check_there(made, ".h5", SourceOptions(), prepare=as_defined(ours))
    check_controls(ours, made, prepare=as_defined(ours))
    check_back(judge, made, ours, tmp_path / "ours.weights.h5", to="keras-applications-v2")
