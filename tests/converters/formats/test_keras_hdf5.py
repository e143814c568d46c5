"""Keras' HDF5 files without Keras: the contract, h5py and files of Keras 2 as judges, and what is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from converters.errors import OutputError, UnsupportedFile
from converters.formats import open_reader, output_format, writer_class
from converters.formats.detect import detect_format
from converters.formats.keras_h5 import tensor_name
from tests.converters.formats import containers
from tests.converters.formats.keras_files import FIXTURES, expected, layers

KINDS = ("keras-h5", "keras-weights")
ARRAYS = layers()
OWN = frozenset({"backend", "keras_version"})


@pytest.mark.parametrize("kind", KINDS)
def test_contract(kind: str, tmp_path: Path) -> None:
    containers.check_writer_contract(kind, tmp_path, arrays=ARRAYS, new=("new/kernel", (2, 3)), own_metadata=OWN)


@pytest.mark.parametrize("kind", KINDS)
def test_full_disk(kind: str, tmp_path: Path) -> None:
    containers.check_full_disk(kind, tmp_path, leaf="/kernel")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["f2", "f8"])
def test_other_types(kind: str, dtype: str, tmp_path: Path) -> None:
    arrays = layers(dtype)
    assert containers.same(containers.read(kind, containers.write(kind, tmp_path / "x", arrays)), arrays)


def test_bfloat16_as_keras_marks_it(tmp_path: Path) -> None:
    arrays = layers("bfloat16")
    path = containers.write("keras-weights", tmp_path / "x", arrays)
    assert containers.same(containers.read("keras-weights", path), arrays)
    with pytest.raises(OutputError, match=r"\.weights\.h5"):
        containers.write("keras-h5", tmp_path / "y", arrays)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_content_gives_equal_files(kind: str, tmp_path: Path) -> None:
    one, other = (containers.write(kind, tmp_path / name, ARRAYS).read_bytes() for name in "ab")
    assert one == other


def in_h5py(path: Path) -> dict[str, bytes]:
    """Every dataset by its path, as h5py reads it."""
    found: dict[str, bytes] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item).tobytes()

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def test_h5py_reads_a_list_of_layers(tmp_path: Path) -> None:
    path = containers.write("keras-h5", tmp_path / "x.h5", ARRAYS)
    paths = {f"{name.partition('/')[0]}/{name}": array.tobytes() for name, array in ARRAYS.items()}
    assert in_h5py(path) == paths
    with h5py.File(path) as file:
        names = [name.decode() for name in file.attrs["layer_names"]]
        assert names == list(dict.fromkeys(name.partition("/")[0] for name in ARRAYS))
        assert file.attrs["effnet.spec"] == containers.METADATA["effnet.spec"]
        assert list(file["stem.norm"].attrs["weight_names"]) == [
            f"stem.norm/{leaf}".encode() for leaf in ("gamma", "beta", "moving_mean", "moving_variance")
        ]


def test_h5py_reads_numbered_variables(tmp_path: Path) -> None:
    path = containers.write("keras-weights", tmp_path / "x.weights.h5", ARRAYS)
    assert sorted(in_h5py(path).values()) == sorted(array.tobytes() for array in ARRAYS.values())
    with h5py.File(path) as file:
        assert file["layers/conv2d_1/vars"].attrs["name"] == "reduce_é"
        np.testing.assert_array_equal(file["layers/conv2d_1/vars/1"], ARRAYS["reduce_é/bias"])
        np.testing.assert_array_equal(file["layers/batch_normalization/vars/3"], ARRAYS["stem.norm/moving_variance"])


@pytest.mark.parametrize(("count", "found"), [(1, 1), (1194, 1), (1195, 2)])
def test_long_lists_go_on_in_other_attributes(count: int, found: int, tmp_path: Path) -> None:
    arrays = {f"{'layer' * 10}{number:04}/bias": np.full(2, number, "f4") for number in range(count)}
    path = containers.write("keras-h5", tmp_path / "x.h5", arrays)
    assert containers.same(containers.read("keras-h5", path), arrays)
    with h5py.File(path) as file:
        pieces = [key for key in file.attrs if key.startswith("layer_names")]
    assert len(pieces) == found
    assert (pieces == ["layer_names"]) == (found == 1)


# Files of Keras 2


@pytest.mark.parametrize(
    ("name", "kind", "prefix"),
    [
        ("flat.h5", "keras-h5", ""),
        ("nested.h5", "keras-h5", "efficientnetb0/"),
        ("nested.keras", "keras", "efficientnetb0/"),  # from the configuration: the weights there have no names
    ],
)
def test_keras_2_with_names(name: str, kind: str, prefix: str) -> None:
    truth = expected()
    inner = {prefix + key: array for key, array in truth.items() if not key.startswith("predictions")}
    outer = {key: array for key, array in truth.items() if prefix and key.startswith("predictions")}
    assert detect_format(FIXTURES / name) == kind
    found = containers.read(kind, FIXTURES / name)
    assert found.keys() == inner.keys() | outer.keys()
    assert containers.same({key: found[key] for key in inner | outer}, inner | outer)


def test_keras_2_without_names() -> None:
    name, kind = "nested.weights.h5", "keras-weights"
    found, truth = containers.read(kind, FIXTURES / name), expected()
    assert detect_format(FIXTURES / name) == kind
    inner = "layers/functional/layers/"
    for path, layer in {
        f"{inner}normalization": "normalization",
        f"{inner}conv2d": "stem_conv",
        f"{inner}batch_normalization": "stem_bn",
        f"{inner}depthwise_conv2d": "block1a_dwconv",
        f"{inner}batch_normalization_1": "block1a_bn",
        f"{inner}conv2d_1": "block1a_se_reduce",
        "layers/dense": "predictions",
    }.items():
        mine = {key.removeprefix(path): array for key, array in found.items() if key.rpartition("/")[0] == path}
        theirs = {key.removeprefix(layer): array for key, array in truth.items() if key.startswith(f"{layer}/")}
        assert mine
        assert containers.same(mine, theirs)
    assert len(found) == len(truth)


def test_what_is_beside_the_weights_is_listed() -> None:
    with open_reader(FIXTURES / "nested.h5") as reader:
        assert set(reader.skipped.values()) == {"a variable of the optimiser"}
        assert len(reader.skipped) == 21
        assert reader.metadata["keras_version"] == "2.21.0"
        assert '"efficientnetb0"' in reader.metadata["model_config"]
        assert "adam" in reader.metadata["training_config"].lower()
    with open_reader(FIXTURES / "nested.keras") as reader:
        assert set(reader.skipped.values()) == {"a variable of the optimiser", "the state of a metric"}


@pytest.mark.parametrize(
    ("layer", "weight", "name"),
    [
        ("block1a_bn", "block1a_bn/gamma:0", "block1a_bn/gamma"),
        ("block1a_bn", "block1a_bn_1/gamma:0", "block1a_bn/gamma"),
        ("block1a_bn", "block1a_bn_x/gamma:0", "block1a_bn/block1a_bn_x/gamma"),
        ("efficientnetb0", "stem_conv/kernel", "efficientnetb0/stem_conv/kernel"),
        ("sequential", "sequential/dense/kernel:0", "sequential/dense/kernel"),
        ("own", "kernel:0", "own/kernel"),
        ("own", "own", "own/own"),
    ],
)
def test_names(layer: str, weight: str, name: str) -> None:
    assert tensor_name(layer, weight) == name


# What tells no names, and what cannot be written


def numbered(path: Path, groups: dict[str, list[tuple[int, ...]]], *, name: str | None = None) -> Path:
    """A `.weights.h5` with variables of these shapes in each group."""
    with h5py.File(path, "w") as file:
        for number, (group, shapes) in enumerate(groups.items()):
            variables = file.create_group(f"{group}/vars")
            if name is not None:
                variables.attrs["name"] = name
            for index, shape in enumerate(shapes):
                variables[str(index)] = containers.lively("f4", shape, seed=number * 10 + index)
    return path


@pytest.mark.parametrize(
    "shapes",
    [
        {"layers/batch_normalization": [(4,), (4,), (4,)]},
        {"layers/batch_normalization": [(4,), (4,), (5,), (4,)]},
        {"layers/batch_normalization": [(4,)]},
        {"layers/conv2d": [(4, 4)]},
        {"layers/dense": [(4, 4), (4,), (4,)]},
        {"layers/normalization": [(3,), (3,)]},
    ],
)
def test_unclear_variables_keep_their_numbers(shapes: dict[str, list[tuple[int, ...]]], tmp_path: Path) -> None:
    with open_reader(numbered(tmp_path / "x", shapes, name="mine")) as reader:
        assert list(reader.tensors) == [f"mine/vars/{n}" for shape in shapes.values() for n in range(len(shape))]
        assert "keep their numbers" in reader.notes[0]


def test_other_layers_keep_their_numbers(tmp_path: Path) -> None:
    seed = "layers/dropout/seed_generator"
    path = numbered(tmp_path / "x", {"layers/attention_2": [(3, 3)], "": [(2,)], seed: [(2,)]})
    with open_reader(path) as reader:
        assert set(reader.tensors) == {"layers/attention_2/vars/0", "vars/0"}
        assert reader.notes == ()
        assert reader.skipped == {f"{seed}/vars/0": "the state of a random generator"}


@pytest.mark.parametrize(
    ("group", "name", "leaves"),
    [
        ("hidden", "dense_3", ["kernel", "bias"]),
        ("model/hidden", "dense", ["kernel", "bias"]),
        ("hidden", "conv2d", ["vars/0", "vars/1"]),  # of other shapes
        ("hidden", "mine", ["vars/0", "vars/1"]),
        ("hidden", None, ["vars/0", "vars/1"]),
        ("layers/einsum_dense", "dense", ["vars/0", "vars/1"]),  # the class is another one
    ],
)
def test_the_own_name_of_an_attribute_of_a_model_tells_its_class(
    group: str, name: str | None, leaves: list[str], tmp_path: Path
) -> None:
    with open_reader(numbered(tmp_path / "x", {group: [(4, 3), (3,)]}, name=name)) as reader:
        assert [leaf.removeprefix(f"{name or group}/") for leaf in reader.tensors] == leaves


def test_bytes_without_a_type_are_refused(tmp_path: Path) -> None:
    """As Keras writes bfloat16 into `.h5`."""

    def write(path: Path, dtype: str) -> Path:
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [b"d"]
            file.create_group("d").attrs["weight_names"] = [b"d/kernel", b"d/bias"]
            file["d/d/kernel"], file["d/d/bias"] = np.zeros((3, 2), dtype), np.zeros(2, "f4")
        return path

    assert set(containers.read("keras-h5", write(tmp_path / "a.h5", "f2"))) == {"d/kernel", "d/bias"}
    with pytest.raises(UnsupportedFile, match=r"d/kernel are bytes .* bfloat16 .* Save the model as `\.keras`"):
        open_reader(write(tmp_path / "b.h5", "V2"))


def test_two_layers_of_one_name_keep_their_paths(tmp_path: Path) -> None:
    path = numbered(tmp_path / "x", {"layers/dense": [(3, 2)], "layers/dense_1": [(2, 2)]}, name="same")
    assert set(containers.read("keras-weights", path)) == {"layers/dense/kernel", "layers/dense_1/kernel"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("kernel", "no slash parts"),
        ("stem.conv.weight", "no slash parts"),
        ("net/stem/kernel", "behind the first slash stands 'stem/kernel', expected a variable of one layer: kernel,"),
        ("layers/normalization/mean", "behind the first slash stands 'normalization/mean'"),
        ("stem/weight", "behind the first slash stands 'weight'"),
        ("./kernel", "no layer's name stands before"),
        ("/kernel", "no layer's name stands before"),
    ],
)
def test_names_of_another_form_are_refused(kind: str, name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"{reason}.*LAYER/leaf"):
        containers.write(kind, tmp_path / "x", {name: np.ones((2, 3), "f4")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("array", [np.ones((2, 3), "c8"), np.ones((2, 3), "?"), np.ones((0, 3), "f4")])
def test_what_keras_does_not_hold_is_refused(kind: str, array: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="x/kernel"):
        containers.write(kind, tmp_path / "x", {"x/kernel": array})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arrays",
    [
        {"x/kernel": np.ones((2, 2, 2))},
        {"x/gamma": np.ones(3), "x/moving_mean": np.ones(3), "x/moving_variance": np.ones(3)},
        {"x/kernel": np.ones((2, 2)), "x/beta": np.ones(2)},
    ],
)
def test_layers_that_numbers_do_not_tell_are_refused(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no layer of Keras"):
        containers.write("keras-weights", tmp_path / "x", arrays)


def test_the_name_says_the_format(tmp_path: Path) -> None:
    assert [output_format(Path(name)) for name in ("a.h5", "a.hdf5", "a.weights.h5", "a.keras")] == [
        "keras-h5",
        "keras-h5",
        "keras-weights",
        "keras",
    ]
    with pytest.raises(OutputError, match=r"effnet\.convert"):
        writer_class("keras")
