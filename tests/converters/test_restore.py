"""What TensorFlow itself restores from the checkpoints that are written: by name, as the official code does."""

from pathlib import Path

import numpy as np
import pytest

from converters import SourceOptions, convert
from tests import oracle

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

FOLDERS = ("efficientnet-b0", "efficientnet-condconv-b0-4e", "efficientnetv2-b0")
VALUE_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
SHADOW = "/ExponentialMovingAverage"


@pytest.fixture(params=FOLDERS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, np.ndarray]]:
    """A written checkpoint, and the moving averages of the official one from which it was made, by variable name."""
    source, target = oracle.FOLDER / request.param, tmp_path / "model.ckpt"
    convert(source, target, options=SourceOptions(spec=oracle.load(request.param, ema=True).spec), sync=False)
    reader = tf.train.load_checkpoint(str(source))
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith(SHADOW)]
    averages = {name.removesuffix(SHADOW): reader.get_tensor(name) for name in names}
    return str(target), {name: value for name, value in averages.items() if name != "global_step"}


@pytest.mark.parametrize("suffix", ["", SHADOW])
def test_a_saver_restores_variables_and_averages(suffix: str, written: tuple[str, dict[str, np.ndarray]]) -> None:
    prefix, averages = written
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        variables = {
            name: v1.get_variable(f"v{number}", shape=value.shape)
            for number, (name, value) in enumerate(averages.items())
        }
        v1.train.Saver({name + suffix: variable for name, variable in variables.items()}).restore(session, prefix)
        restored = session.run(variables)
    assert all(np.array_equal(restored[name], value) for name, value in averages.items())


def test_a_checkpoint_object_restores_by_name(written: tuple[str, dict[str, np.ndarray]]) -> None:
    prefix, averages = written
    module = tf.Module()
    module.held = [tf.Variable(tf.zeros(value.shape), name=name) for name, value in averages.items()]
    tf.train.Checkpoint(module=module).restore(prefix).expect_partial()
    assert all(np.array_equal(held.numpy(), value) for held, value in zip(module.held, averages.values(), strict=True))
    assert any(np.any(value != 0) for value in averages.values())


def test_a_checkpoint_object_restores_by_the_paths_of_objects(tmp_path: Path) -> None:
    prefix = str(tmp_path / "ckpt-1")
    convert(oracle.FOLDER / "efficientnetv2-b0", prefix, to="official-object", to_format="tensor-bundle", sync=False)
    original = tf.train.load_checkpoint(str(oracle.FOLDER / oracle.OBJECT_BASED))
    values = {
        name.removesuffix(VALUE_SUFFIX): original.get_tensor(name)
        for name in original.get_variable_to_shape_map()
        if name.endswith(VALUE_SUFFIX)
    }
    root, held = tf.Module(), {}
    for path, value in values.items():
        *owners, leaf = path.split("/")
        module = root
        for name in owners:
            setattr(module, name, getattr(module, name, None) or tf.Module())
            module = getattr(module, name)
        held[path] = tf.Variable(tf.zeros_like(value), name="nameless")
        setattr(module, leaf, held[path])
    # `read` is for what `Checkpoint.write` writes; `restore` would also ask for a counter of `Checkpoint.save`.
    tf.train.Checkpoint(root).read(prefix).assert_consumed()
    assert all(np.array_equal(held[path].numpy(), value) for path, value in values.items())
    assert any(np.any(value != 0) for value in values.values())
    root._blocks.another = tf.Variable(1.0)
    with pytest.raises(AssertionError):  # the control: what the file does not hold is missed
        tf.train.Checkpoint(root).read(prefix).assert_existing_objects_matched()
