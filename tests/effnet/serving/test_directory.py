import pytest

from effnet.serving.directory import Kind, find_models
from effnet.serving.errors import UnservableModel


def touched(*files):
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")


@pytest.fixture
def models(tmp_path):
    touched(
        tmp_path / "b0" / "2" / "model.onnx",
        tmp_path / "b0" / "10" / "saved_model.pb",
        tmp_path / "b0" / "11" / "notes.txt",
        tmp_path / "b0" / "tmp-12" / "model.onnx",
        tmp_path / "b1" / "1" / "model.onnx",
        tmp_path / "empty" / "readme.txt",
        tmp_path / "lite0.onnx",
    )
    return tmp_path


def shown(found):
    return [(item.name, item.version, item.kind) for item in found]


def test_the_newest_version_by_number_of_every_model(models):
    assert shown(find_models(models)) == [("b0", 10, Kind.SAVED_MODEL), ("b1", 1, Kind.ONNX)]


def test_every_version_where_it_is_asked_for(models):
    found = find_models(models / "b0", every_version=True)
    assert shown(found) == [("b0", 2, Kind.ONNX), ("b0", 10, Kind.SAVED_MODEL)]
    assert [item.path for item in found] == [models / "b0" / "2" / "model.onnx", models / "b0" / "10"]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("b0", ("b0", 10, Kind.SAVED_MODEL)),
        ("b0/2", ("b0", 2, Kind.ONNX)),
        ("b0/2/model.onnx", ("b0", 2, Kind.ONNX)),
        ("lite0.onnx", ("lite0", 1, Kind.ONNX)),
    ],
)
def test_one_model_one_version_or_one_file(models, place, expected):
    assert shown(find_models(models / place)) == [expected]


@pytest.mark.parametrize(
    ("place", "says"), [("gone", "does not exist"), ("empty", "holds no model"), ("b0/11/notes.txt", "onnx")]
)
def test_what_holds_no_model(models, place, says):
    with pytest.raises(UnservableModel, match=says):
        find_models(models / place)


@pytest.mark.parametrize(
    ("target", "link", "expected"),
    [
        ("b0", "production", ("production", 10, Kind.SAVED_MODEL)),
        ("b0/2/model.onnx", "tested.onnx", ("tested", 1, Kind.ONNX)),
        ("b0/2", "current", ("b0", 2, Kind.ONNX)),
    ],
)
def test_links(models, target, link, expected):
    place = models / "empty" / link
    place.symlink_to(models / target)
    assert shown(find_models(place)) == [expected]
    assert shown(find_models(models / "b1" / ".." / "empty" / link)) == [expected]
