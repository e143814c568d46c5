"""Names from the object graph: what Keras 2 saved, what Keras 3 and TensorFlow save, and graphs that nobody saves."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import pytest

from converters import open_checkpoint
from converters.errors import FormatError, OutputError, UnreadableFile, UnsupportedFile
from converters.formats import open_reader, writer_class
from converters.formats._bundle.index import GRAPH_KEY, VALUE_SUFFIX
from converters.formats._bundle.layer_paths import names_by_layer
from converters.formats.base import Reader
from converters.formats.detect import detect_format
from converters.formats.tensor_bundle import TensorBundleReader
from tests import oracle
from tests.converters.formats.object_graph_cases import KEYS, NAMES, checkpoint, graph
from tests.named_values import named_values

ROOT = Path(__file__).parents[3]
KERAS2 = ROOT / "tests" / "data" / "keras2" / "object_based"
FLOWERS = {
    "stem_conv/kernel": (3, 3, 3, 4),
    "block1a_dwconv/depthwise_kernel": (3, 3, 4, 1),
    **{f"stem_bn/{leaf}": (4,) for leaf in ("gamma", "beta", "moving_mean", "moving_variance")},
    "flowers/kernel": (4, 2),
    "flowers/bias": (2,),
}


def wrong(reader: Reader) -> list[str]:
    """Tensors that do not hold what their names stand for."""
    return [
        name
        for name, info in reader.tensors.items()
        if info.dtype.kind == "f" and not np.array_equal(reader.read(name), named_values(name, info.shape))
    ]


def reasons(reader: Reader) -> set[str]:
    return {reason for key, reason in reader.skipped.items() if key != GRAPH_KEY}


def shapes(reader: Reader) -> dict[str, tuple[int, ...]]:
    return {name: info.shape for name, info in reader.tensors.items()}


def test_weights_of_keras_2_have_the_names_of_its_layers() -> None:
    with open_reader(KERAS2 / "efficientnetb0") as reader:
        assert reader.format == "tensor-bundle"
        assert len(reader.tensors) == 143
        assert {"stem_conv/kernel", "block1a_dwconv/depthwise_kernel", "block7a_project_bn/moving_variance"} <= set(
            reader.tensors
        )
        assert {"predictions/bias", "normalization/count", "top_bn/gamma"} <= set(reader.tensors)
        assert wrong(reader) == []
        assert reader.notes == ("The object graph names the variables of 143 tensors.",)
        assert reader.skipped.keys() == {GRAPH_KEY}


@pytest.mark.parametrize(
    ("name", "format_name", "aside"),
    [
        ("legacy_adam.index", "tensor-bundle", {"a number of the optimiser"}),
        ("flowers_saved_model.zip", "saved-model", {"a number of the optimiser", "a number of a metric"}),
    ],
)
def test_a_nested_network_of_keras_2_without_what_belongs_to_training(
    name: str, format_name: str, aside: set[str]
) -> None:
    with open_reader(KERAS2 / name) as reader:
        assert reader.format == format_name
        assert shapes(reader) == FLOWERS
        assert wrong(reader) == []
        assert reasons(reader) == aside


def test_keys_that_name_layers_are_read_as_they_are() -> None:
    with open_reader(oracle.FOLDER / oracle.OBJECT_BASED) as reader:
        assert all(name.endswith(VALUE_SUFFIX) for name in reader.tensors)
        assert "_blocks/3/_expand_conv/kernel" + VALUE_SUFFIX in reader.tensors


def test_names_that_repeat_get_the_path_of_their_model_or_layer_or_stay_keys(tmp_path: Path) -> None:
    inside = [f"layer_with_weights-{model}/layer_with_weights-0/kernel{VALUE_SUFFIX}" for model in (0, 1)]
    keys = dict(zip((*inside, *KEYS[:2]), ("conv/kernel", "conv/kernel", "dense/kernel", "dense/kernel"), strict=True))
    assert named(tmp_path, keys) == [
        *("layer_with_weights-0/conv/kernel", "layer_with_weights-1/conv/kernel"),
        *("layer_with_weights-0/kernel", "layer_with_weights-1/kernel"),
    ]
    keys[KEYS[1]] = "dense/bias"
    assert named(tmp_path, keys)[2:] == ["dense/kernel", "dense/bias"]
    one_layer = [f"layer_with_weights-0/{leaf}{VALUE_SUFFIX}" for leaf in ("kernel", "other")]
    keys = dict.fromkeys(one_layer, "dense/kernel") | dict(zip(KEYS[1:3], ("bn/gamma", "bn/beta"), strict=True))
    assert named(tmp_path, keys)[:2] == one_layer


@pytest.mark.parametrize(
    ("keys", "leaves", "expected"),
    [
        # Two layers of one model, named by the model alone, under the paths of attributes or in a list of variables.
        (
            ["hid/_kernel", "hid/bias", "out/_kernel"],
            ["kernel", "bias", "kernel"],
            ["hid/kernel", "hid/bias", "out/kernel"],
        ),
        (["norm/gamma", "out/_kernel"], ["gamma", "kernel"], ["norm/gamma", "out/kernel"]),
        (
            ["variables/2", "variables/3", "variables/4"],
            ["kernel", "kernel", "bias"],
            ["variables/2/kernel", "variables/3/kernel", "variables/3/bias"],
        ),
        # One layer, and what no order parts into layers.
        (["layer_with_weights-0/_kernel", "out/bias"], ["kernel", "bias"], ["m/kernel", "m/bias"]),
        (["variables/2", "variables/3", "variables/5"], ["kernel", "gamma", "beta"], ["m/kernel", "m/gamma", "m/beta"]),
        (["variables/2", "variables/3", "variables/5"], ["gamma", "kernel", "bias"], ["m/gamma", "m/kernel", "m/bias"]),
    ],
)
def test_layers_that_share_a_name_are_told_apart(keys: list[str], leaves: list[str], expected: list[str]) -> None:
    names = {f"{key}{VALUE_SUFFIX}": f"m/{leaf}" for key, leaf in zip(keys, leaves, strict=True)}
    assert list((names | names_by_layer(names)).values()) == expected


def named(folder: Path, names: dict[str, str]) -> list[str]:
    """The names of tensors under keys to which the graph gives those names."""
    with TensorBundleReader(checkpoint(folder, graph(names), keys=tuple(names))) as reader:
        return list(reader.tensors)


def saved_model(folder: Path, *, keys: tuple[str, ...] = KEYS) -> Path:
    """A folder as TensorFlow leaves it, but for its functions, which are not read."""
    (folder / "variables").mkdir(parents=True)
    made = checkpoint(folder / "variables", graph(), keys=keys)
    for path in (folder / "variables").iterdir():
        path.rename(path.with_name(path.name.replace(made.name, "variables")))
    (folder / "saved_model.pb").write_bytes(b"\x08\x01")
    return folder


def test_every_name_of_a_saved_model(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "model")
    paths = [folder, folder / "saved_model.pb"]
    for name, compression in {"stored": ZIP_STORED, "deflated": ZIP_DEFLATED}.items():
        paths.append(tmp_path / f"{name}.zip")
        with ZipFile(paths[-1], "w", compression) as archive:
            for path in folder.rglob("*"):
                archive.write(path, path.relative_to(tmp_path))
    for path in paths:
        assert detect_format(path) == "saved-model"
        with open_reader(path) as reader:
            assert list(reader.tensors) == list(NAMES[:-1])
            assert wrong(reader) == []
            assert "not its functions" in reader.notes[-1]
            assert (reader.location(NAMES[0]) is None) == (path.name == "deflated.zip")
    packed = shutil.make_archive(str(tmp_path / "packed"), "gztar", tmp_path, "model")
    with open_reader(Path(packed)) as reader:
        assert wrong(reader) == []


def test_a_zipped_checkpoint(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "flowers.zip", "w") as archive:
        for path in KERAS2.glob("legacy_adam.*"):
            archive.write(path, f"flowers/{path.name}")
    with open_reader(tmp_path / "flowers.zip") as reader:
        assert reader.format == "tensor-bundle"
        assert shapes(reader) == FLOWERS
        assert wrong(reader) == []


def test_a_saved_model_of_the_official_code(tmp_path: Path) -> None:
    """TensorFlow 1 wrote them without object graph, under the names of variables."""
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    (tmp_path / "variables").mkdir()
    for path in (oracle.FOLDER / "efficientnet-lite0").glob("model.ckpt-1234.*"):
        shutil.copy(path, tmp_path / "variables" / path.name.replace("model.ckpt-1234", "variables"))
    with open_checkpoint(tmp_path) as checkpoint, open_checkpoint(oracle.FOLDER / "efficientnet-lite0") as original:
        assert (checkpoint.format, checkpoint.dialect.name) == ("saved-model", "official")
        assert checkpoint.spec == original.spec
        state = original.state()
        assert all(np.array_equal(array, state[name]) for name, array in checkpoint.state().items())


def test_a_saved_model_that_cannot_be_read(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "model")
    with ZipFile(tmp_path / "half.zip", "w") as archive:
        for name in ("saved_model.pb", "variables/variables.index"):
            archive.write(folder / name, name)
    with pytest.raises(FormatError, match="expected the data file variables/variables"):
        open_reader(tmp_path / "half.zip")
    whole = bytearray((KERAS2 / "flowers_saved_model.zip").read_bytes())
    with ZipFile(KERAS2 / "flowers_saved_model.zip") as archive:
        middle = archive.getinfo("flowers/variables/variables.data-00000-of-00001").header_offset + 2000
    whole[middle : middle + 40] = bytes(40)
    (tmp_path / "damaged.zip").write_bytes(whole)
    with pytest.raises(FormatError, match="damaged"):
        open_reader(tmp_path / "damaged.zip")
    shutil.rmtree(folder / "variables")
    with pytest.raises(UnsupportedFile, match="weights are constants in its graph"):
        open_reader(folder)
    with pytest.raises(UnreadableFile, match="expected a TensorFlow checkpoint"):
        open_reader(tmp_path / "nowhere", name="saved-model")
    with pytest.raises(OutputError, match="read, but not written"):
        writer_class("saved-model")


def test_hostile_object_graphs_end_in_an_error_or_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.converters.formats.object_graph_cases", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["limited"], "the limit of memory must hold, or the cases show nothing about it"
    cases = found["outcomes"]
    assert len(cases) >= 300
    assert [case for case in cases if case["error"] not in ("", "EffnetError")] == []
    assert [case["name"] for case in cases if case["must_fail"] and not case["error"]] == []
    assert [case for case in cases if not case["error"] and case["found"] != len(KEYS)] == []
    assert [case["name"] for case in cases if len(case["message"]) > 1500] == []
    controls = [case["names"] for case in cases if case["name"].startswith("control")]
    assert controls == [list(NAMES[:-1])]
    by_name = {case["name"]: case["names"] for case in cases}
    assert by_name["names that are other keys"] == list(KEYS[:-1])
    assert by_name["one name for all"] == list(KEYS[:-1])
    assert by_name["name: empty"] == [KEYS[0], *NAMES[1:-1]]
    assert by_name["a key that is missing"] == [KEYS[0], *NAMES[1:-1]]
