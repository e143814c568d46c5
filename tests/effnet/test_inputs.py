import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from effnet.errors import InputError
from effnet.inputs import batches, check_array, classify, load_array
from effnet_core import resolve

SPEC = resolve("b0", resolution=24)


def saved(folder, array, **options):
    path = folder / "input.npy"
    np.save(path, array, **options)
    return path


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_array_keeps_its_numbers(tmp_path, dtype):
    array = np.random.default_rng(0).normal(size=(3, 5, 7, 3)).astype(dtype)
    found = load_array(saved(tmp_path, np.asfortranarray(array)), SPEC)
    np.testing.assert_array_equal(found, array)
    assert found.dtype == (np.float64 if dtype is np.float64 else np.float32)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 7, 3)), r"\(5, 7, 3\)"),
        (np.zeros((2, 5, 7, 4)), "expected NHWC, .*height, width, 3.*none of them 0.$"),
        (np.zeros((2, 3, 5, 7)), "looks like NCHW"),
        (np.zeros((0, 5, 7, 3)), "none of them 0"),
        (np.zeros((1, 5, 7, 3), np.uint8), "uint8"),
        (np.zeros((1, 5, 7, 3), complex), "complex"),
        (np.full((1, 2, 2, 3), np.nan), "12 values that are NaN"),
    ],
)
def test_other_arrays_are_refused(tmp_path, array, message):
    with pytest.raises(InputError, match=message):
        load_array(saved(tmp_path, array), SPEC)


def hostile():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((2, 8, 8, 3), np.float32))
    data = buffer.getvalue()
    yield "truncated", data[:-5]
    yield "header", data[:30]
    yield "empty", b""
    yield "text", b"numbers"
    yield "enormous", data.replace(b"(2, 8, 8, 3), }           ", b"(2000000000000, 8, 8, 3), }")
    yield "promise", data.replace(b"(2, 8, 8, 3), }", b"(9, 8, 8, 3), }")
    yield "code", data.replace(b"'<f4'", b"'|O' ")
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros((1, 8, 8, 3)))
    yield "archive", buffer.getvalue()


@pytest.mark.parametrize(("name", "data"), list(hostile()))
def test_damaged_and_hostile_files_are_one_clear_error(tmp_path, name, data):
    path = tmp_path / f"{name}.npy"
    path.write_bytes(data)
    with pytest.raises(InputError, match=name):
        load_array(path, SPEC)


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    path = saved(tmp_path, np.array([[[[print]]]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        load_array(path, SPEC)


@pytest.mark.parametrize("paths", [[], ["a.npy", "b.npy"], ["a.png", "b.npy"]])
def test_what_cannot_be_run_together(paths):
    with pytest.raises(InputError):
        classify(paths)


def test_batches_of_an_array(tmp_path):
    path = saved(tmp_path, np.arange(5 * 3, dtype=np.float32).reshape(5, 1, 1, 3))
    found = list(batches(classify([path]), SPEC, size=2))
    assert [len(names) for names, _ in found] == [2, 2, 1]
    assert found[-1][0] == [f"{path}[4]"]
    np.testing.assert_array_equal(np.concatenate([array for _, array in found]), np.load(path))


def test_batches_of_images(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path in paths:
        Image.new("RGB", (30, 40)).save(path)
    found = list(batches(classify(paths), SPEC, size=2))
    assert [array.shape for _, array in found] == [(2, 24, 24, 3), (1, 24, 24, 3)]


def test_images_do_not_fit_other_channels():
    with pytest.raises(InputError, match="takes 1 channel, and"):
        next(batches(classify([Path("a.png")]), resolve("b0", in_channels=1), size=1))


def test_an_array_in_memory():
    with pytest.raises(InputError, match="The input"):
        check_array(np.zeros((2, 2)), channels=3, where="The input")


def test_a_single_path_is_one_input():
    assert classify("input.npy") == classify([Path("input.npy")]) == classify(Path("input.npy"))
    assert classify("cat.png").images == (Path("cat.png"),)


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(InputError, match="pipe"):
        load_array(tmp_path / "pipe.npy", SPEC)
