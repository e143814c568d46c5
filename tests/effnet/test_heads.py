"""Networks that end elsewhere than in one dense classifier, through the functions and commands of the front door."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import converters
import effnet
from effnet import Adaptation, Network, RandomInput, load_model, load_network, parity
from effnet.cli.app import app
from effnet.errors import IncomparableNetworks
from effnet_core import InvalidOption, parameters, with_classes, with_in_channels, without_classifier, without_head
from tests.heads import short, with_hidden
from tests.lively import images, lively_state

SPEC = short()
HIDDEN = with_hidden(SPEC)


def network(spec):
    return Network(spec=spec, state=lively_state(spec), name="x")


def whole_with(spec):
    """A network that ends earlier, with the weights of the whole one."""
    names = {parameter.name for parameter in parameters(spec)}
    state = {name: array for name, array in lively_state(HIDDEN).items() if name in names}
    return Network(spec=spec, state=state, name="cut")


def saved(spec, folder, name="x.safetensors"):
    converters.save_state(folder / name, spec, lively_state(spec), sync=False)
    return folder / name


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def compared(a, b):
    return parity(a, b, a_backend="torch", b_backend="torch", inputs=RandomInput(size=32))


def logits(spec, state):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from effnet_torch import create_model  # noqa: PLC0415 - after the check that torch is there

    model = create_model(spec, state, dtype="float64").eval()
    with torch.no_grad():
        return model(torch.from_numpy(images(3, 33, 33).transpose(0, 3, 1, 2)).double()).numpy()


def test_without_the_background_the_other_logits_stay():
    spec = replace(SPEC, classifier=replace(SPEC.classifier, num_classes=11, label_offset=1))
    state = lively_state(spec)
    with converters.adapt(converters.state_checkpoint(spec, state), Adaptation(drop_background=True)) as cut:
        found = logits(cut.spec, cut.state())
    whole = logits(spec, state)
    # A matrix product with one column less may add in another order.
    assert np.abs(found - whole[:, 1:]).max() < 1e-12 * np.abs(whole).max()
    assert np.abs(found - whole[:, :-1]).max() > 0.1 * np.abs(whole).max()


def test_a_grey_image_gives_what_it_gave_in_three_channels():
    grey = images(2, 33, 33, channels=1).transpose(0, 3, 1, 2)
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from effnet_torch import create_model  # noqa: PLC0415 - as above

    with converters.adapt(converters.state_checkpoint(SPEC, lively_state(SPEC)), Adaptation(in_channels=1)) as one:
        narrow = create_model(one.spec, one.state(), dtype="float64").eval()
    three = create_model(SPEC, lively_state(SPEC), dtype="float64").eval()
    with torch.no_grad():
        found = narrow(torch.from_numpy(grey).double()).numpy()
        expected = three(torch.from_numpy(grey.repeat(3, 1)).double()).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)  # the stem's sum is rounded to float32
    assert np.abs(found).max() > 0.1


def test_a_model_with_a_fresh_classifier(tmp_path):
    path = saved(HIDDEN, tmp_path)
    model = load_model(path, backend="torch", adaptation=Adaptation(drop_head=True, num_classes=4))
    assert model.spec == with_classes(without_classifier(HIDDEN), 4)
    features = load_model(path, backend="torch", include_top=False)
    assert load_network(path).spec == HIDDEN
    assert len(model.hidden) == len(features.hidden) == 0


@pytest.mark.parametrize("cut", [without_classifier, without_head])
def test_nothing_to_predict(cut, tmp_path):
    np.save(tmp_path / "x.npy", images(1, 32, 32))
    with pytest.raises(InvalidOption, match="no classifier\\): there is nothing to predict"):
        effnet.predict(network(cut(SPEC)), tmp_path / "x.npy", backend="torch")
    assert effnet.predict(network(HIDDEN), tmp_path / "x.npy", backend="torch").logits.shape == (1, 5)


@pytest.mark.parametrize(("cut", "last"), [(without_classifier, "pooled"), (without_head, "blocks.1")])
def test_parity_up_to_where_the_shorter_network_ends(cut, last):
    found = compared(whole_with(cut(HIDDEN)), network(HIDDEN))
    assert found.agrees
    assert found.comparison.layers[-1].name == last
    assert found.comparison.same_argmax is None
    assert f"compared up to {last}" in found.notes[0]
    assert not compared(network(cut(SPEC)), replace(network(HIDDEN), state=_other(HIDDEN))).agrees


def _other(spec):
    return lively_state(spec, seed=1)


def test_other_hidden_layers_cannot_be_compared():
    classifier = HIDDEN.classifier
    other = replace(HIDDEN, classifier=replace(classifier, hidden=classifier.hidden[:-1]))
    with pytest.raises(IncomparableNetworks, match="behind 5 hidden layers"):
        compared(network(HIDDEN), network(other))
    assert [layer.name for layer in compared(network(HIDDEN), network(HIDDEN)).comparison.layers[-2:]] == [
        "hidden.5",
        "logits",
    ]


def test_commands_show_the_end_of_a_network(tmp_path):
    text = run("info", saved(HIDDEN, tmp_path)).stdout
    for words in ("5 classes behind 6 hidden layers", "hidden.0", "dense, relu", "norm, epsilon 0.002", "dropout 0.3"):
        assert words in text
    path = saved(without_head(SPEC), tmp_path, "y.safetensors")
    assert "no head and no classifier" in run("info", path).stdout
    assert "no head and no classifier" in run("inspect", path).stdout
    assert json.loads(run("inspect", path, "--json").stdout)["network"]["num_classes"] is None


def test_convert_with_options_that_adapt(tmp_path):
    source, target = saved(HIDDEN, tmp_path), tmp_path / "y.safetensors"
    options = ("--num-classes", 3, "--drop-head", "--seed", 7, "--in-channels", 4)
    text = run("convert", source, target, *options, "--json").stdout
    assert json.loads(text)["network"]["num_classes"] == 3
    wanted = Adaptation(drop_head=True, num_classes=3, seed=7, in_channels=4)
    expected = load_network(source, adaptation=wanted)
    found = load_network(target)
    assert found.spec == expected.spec == with_in_channels(with_classes(without_classifier(HIDDEN), 3), 4)
    assert all(np.array_equal(found.state[name], array) for name, array in expected.state.items())
    other = load_network(source, adaptation=replace(wanted, seed=8))
    assert not np.array_equal(other.state["classifier.kernel"], found.state["classifier.kernel"])
    assert run("convert", source, target, "--force", "--num-classes", 5).stdout.count("The classifier is new") == 0
    assert "label_offset" in run("convert", source, tmp_path / "z.npz", "--drop-background", code=2).stderr
    for command in (("convert", source, tmp_path / "z.npz"), ("inspect", source)):
        said = run(*command, "--num-classes", 0, code=2).stderr
        assert "a classifier needs at least 1" in said
        assert "--drop-head" in said
    assert not (tmp_path / "z.npz").exists()
