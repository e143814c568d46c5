"""Where two networks part, the usual mistakes are named, and nothing else is."""

import html
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from converters import Ema, SourceOptions, fold
from effnet import Network, RandomInput, load_network, parity
from effnet.cli.app import app
from effnet.parity_engine.compare import Limits
from effnet.parity_engine.hypotheses import Place, Suspect, hypotheses
from effnet.parity_engine.report import TENSOR_COLUMNS, document, explanations, tensor_rows
from effnet_core import Activation, Norm, Padding, resolve
from tests import oracle
from tests.faults import FAULTS, SPEC, STATE
from tests.lively import images, lively_state

BASE = Network(spec=SPEC, state=STATE, name="base")
OTHER = {"tf": "torch", "torch": "tf"}
NARROW = resolve("b0", width=0.13, depth=0.35, num_classes=10)
TEN = Network(spec=NARROW, state=lively_state(NARROW), name="ten blocks")

EXPLAINED = {
    "padding side": ("blocks.1.depthwise", Suspect.PADDING, "is padded symmetrically"),
    "epsilon": ("blocks.2.depthwise", Suspect.EPSILON, "normalises with epsilon 1e-05"),
    "activation": ("blocks.2.expand", Suspect.ACTIVATION, "has the activation relu6"),
}
UNEXPLAINED = {
    "swapped norms": "blocks.1.expand",
    "transposed kernel": "blocks.2.depthwise",
    "raw for averages": "stem",
    "residual": "blocks.2",
    "one float": "blocks.2.project",
}


def planted(name, backend, monkeypatch, **options):
    """The two frameworks, with a mistake in one of them, which is B."""
    FAULTS[name].plant(monkeypatch, backend)
    options = {"inputs": images(2, 64, 48)} | options
    return parity(BASE, BASE, a_backend=OTHER[backend], b_backend=backend, **options)


def in_torch(a, b, **options):
    return parity(a, b, a_backend="torch", b_backend="torch", **options)


def with_spec(network, **fields):
    return replace(network, spec=replace(network.spec, **fields))


@pytest.mark.parametrize("backend", ["tf", "torch"])
@pytest.mark.parametrize("name", EXPLAINED)
def test_a_usual_mistake_in_one_layer_of_either_backend_is_named(name, backend, monkeypatch):
    layer, suspect, words = EXPLAINED[name]
    found = planted(name, backend, monkeypatch).diagnosis
    assert found.layer == layer
    first = found.causes[0]
    assert (first.suspect, first.side, first.words) == (suspect, "a", words)
    assert 0 <= first.relative_l2 < 1e-14
    assert (first.is_whole, first.is_everywhere, first.next_difference) == (True, False, None)
    assert {cause.suspect for cause in found.causes} == {suspect}


@pytest.mark.parametrize("backend", ["tf", "torch"])
@pytest.mark.parametrize("name", UNEXPLAINED)
def test_another_mistake_gets_no_cause(name, backend, monkeypatch):
    report = planted(name, backend, monkeypatch)
    assert (report.agrees, report.diagnosis.layer) == (False, UNEXPLAINED[name])
    assert (report.diagnosis.causes, report.diagnosis.nearest) == ((), None)
    assert report.diagnosis.tried != () or name == "residual"


def test_every_fault_that_a_comparison_in_evaluation_can_see_is_expected_here():
    unseen = {"drop-connect rate", "momentum"}
    structural = {name for name, fault in FAULTS.items() if fault.is_structural}
    assert {*EXPLAINED, *UNEXPLAINED} | unseen | structural == set(FAULTS)


def _prepare_torch(model: Any) -> None:
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    mean, scale = (torch.tensor(values, dtype=torch.float64).reshape(1, 3, 1, 1) for values in IMAGENET)

    def prepare(_: Any, given: Any) -> Any:
        return (((given[0].double() * scale + mean - 127) / 128).to(given[0].dtype),)

    model.register_forward_pre_hook(prepare)


def _prepare_keras(model: Any) -> None:
    keras = pytest.importorskip("keras")
    real, (mean, scale) = model.call, IMAGENET

    def call(inputs: Any, *given: Any, **options: Any) -> Any:
        wide = keras.ops.cast(inputs, "float64")
        other = (wide * np.array(scale) + np.array(mean) - 127.0) / 128.0
        return real(keras.ops.cast(other, inputs.dtype), *given, **options)

    model.call = call


IMAGENET = (SPEC.preprocessing.mean, SPEC.preprocessing.scale)


@pytest.mark.parametrize("backend", ["tf", "torch"])
def test_input_that_one_backend_normalises_otherwise_is_named(backend, monkeypatch):
    fault = replace(FAULTS["one float"], state=lambda state: state, tf=_prepare_keras, torch=_prepare_torch)
    fault.plant(monkeypatch, backend)
    report = parity(BASE, BASE, a_backend=OTHER[backend], b_backend=backend, inputs=images(2, 64, 48))
    found = report.diagnosis
    assert found.layer == "stem"
    assert [(cause.suspect, cause.side, cause.is_whole) for cause in found.causes] == [
        (Suspect.NORMALISATION, "a", True)
    ]
    assert found.causes[0].words.startswith("takes (x - 127) / 128 of the pixels 0..255, not (x - (123.6")


@pytest.mark.parametrize("folder", ["efficientnet-b0", "efficientnetv2-b0"])
@pytest.mark.parametrize("backend", ["tf", "torch"])
def test_variables_for_moving_averages_are_named(folder, backend):
    path = oracle.FOLDER / folder
    raw = SourceOptions(ema=Ema.NEVER)
    report = parity(path, path, b_options=raw, a_backend=OTHER[backend], b_backend=backend)
    found = report.diagnosis
    assert found.layer == "stem"
    assert [(cause.suspect, cause.is_whole) for cause in found.causes] == [(Suspect.AVERAGES, True)]
    letter, words = {"tf": ("a", "takes the variables"), "torch": ("b", "takes the moving averages")}[backend]
    assert (found.causes[0].side, found.causes[0].words.startswith(words)) == (letter, True)


def test_other_weights_than_those_of_the_file_get_no_cause():
    network = load_network(oracle.FOLDER / "efficientnet-b0")
    kernel = network.state["stem.conv.kernel"] * np.float32(1.001)
    found = in_torch(network, replace(network, state={**network.state, "stem.conv.kernel": kernel})).diagnosis
    assert Suspect.AVERAGES in found.tried
    assert found.causes == ()


@pytest.mark.parametrize(
    ("fields", "suspect"),
    [
        ({"norm": Norm(epsilon=1e-5, decay=0.99)}, Suspect.EPSILON),
        ({"norm": Norm(epsilon=2e-3, decay=0.99)}, Suspect.EPSILON),  # as the other definition says
        ({"padding": Padding.SYMMETRIC}, Suspect.PADDING),
    ],
)
def test_definitions_that_differ_in_every_layer_are_explained_as_a_whole(fields, suspect):
    cause = in_torch(TEN, with_spec(TEN, **fields)).diagnosis.causes[0]
    assert (cause.suspect, cause.is_whole, cause.is_everywhere) == (suspect, True, True)


@pytest.mark.parametrize("name", ["b0", "edgetpu-S", "condconv-b0-4e"])
@pytest.mark.parametrize("padding", list(Padding))
def test_padding_one_layer_after_another_otherwise_gives_the_network_that_is_padded_so(name, padding):
    """Whatever the kind of the kernel, changing a layer alone is what the other padding does to it."""
    spec = replace(resolve(name, width=0.04, num_classes=10), padding=padding)
    base = Network(spec=spec, state=lively_state(spec), name=name)
    changed, wanted, names, sides = base, None, [], (70, 44)  # odd after the stem, and after the first block
    batch = images(2, *sides)
    report = in_torch(base, base, inputs=batch, keep_outputs=True)
    shapes = {layer.name: layer.shape[1:3] for layer in report.comparison.layers}
    before = sides
    for layer, after in shapes.items():
        place = Place(layer=layer, is_first=False, size=before if len(before) == 2 else None)
        suspected = [one for one in hypotheses(changed, spec, place, batch) if one.suspect is Suspect.PADDING]
        for one in suspected:
            without, changed, wanted = changed, one.here, wanted or one.everywhere
            names.append(layer)
        before = after
    assert len(names) >= 2
    assert in_torch(changed, wanted, inputs=batch).comparison.agrees
    assert in_torch(without, wanted, inputs=batch).comparison.first_difference == names[-1]


def test_two_mistakes_of_which_one_is_first_are_told_apart():
    """The stem's activation explains the stem; what differs later is said."""
    stem = replace(NARROW.stem, activation=Activation.RELU)
    kernel = TEN.state["blocks.5.project.conv.kernel"][..., ::-1]
    b = replace(with_spec(TEN, stem=stem), state={**TEN.state, "blocks.5.project.conv.kernel": kernel})
    cause = in_torch(TEN, b).diagnosis.causes[0]
    assert (cause.suspect, cause.is_whole, cause.next_difference) == (Suspect.ACTIVATION, False, "blocks.5.project")


def test_the_tensors_around_the_first_difference_are_those_of_the_networks():
    kernel = STATE["blocks.1.depthwise.conv.kernel"] * 2
    b = replace(BASE, state={**STATE, "blocks.1.depthwise.conv.kernel": kernel})
    report = in_torch(BASE, b, keep_outputs=True)
    found = report.diagnosis
    assert found.a.before == found.b.before
    assert found.a.before.name == "blocks.1.expand"
    assert [one.name for one in found.a.weights] == [
        f"blocks.1.depthwise.{leaf}"
        for leaf in ("conv.kernel", "norm.gamma", "norm.beta", "norm.mean", "norm.variance")
    ]
    assert found.b.weights[0].largest == 2 * found.a.weights[0].largest == np.abs(kernel).max()
    assert found.a.weights[1:] == found.b.weights[1:]
    values = report.outputs[1].float64["blocks.1.depthwise"]
    assert (found.b.after.shape, found.b.after.mean) == (values.shape, values.mean())
    assert found.b.after.std == values.std() != found.a.after.std


def test_networks_that_agree_have_no_diagnosis():
    assert in_torch(TEN, TEN).diagnosis is None


def test_rounding_alone_is_not_searched():
    found = in_torch(TEN, TEN, limits=Limits(float32=0.0, float64=1.0)).diagnosis
    assert found is None  # the same framework gives the same bits
    report = parity(TEN, TEN, limits=Limits(float32=0.0, float64=1.0), inputs=RandomInput(size=32))
    assert not report.agrees
    assert (report.diagnosis.causes, report.diagnosis.tried) == ((), ())


def test_what_was_found_is_said_in_sentences_rows_and_json():
    report = in_torch(TEN, with_spec(TEN, padding=Padding.SYMMETRIC))
    (line,) = explanations(report.diagnosis)
    assert line.startswith("Cause (padding): stem agrees to ")
    assert line.endswith("when A is padded symmetrically, in every layer. The whole network agrees then.")
    rows = tensor_rows(report.diagnosis)
    names = [(name, side) for name in ("input", "stem.conv.kernel") for side in "AB"]
    assert [row[:2] for row in rows[:4]] == names
    assert {len(row) for row in rows} == {len(TENSOR_COLUMNS)}
    found = json.loads(json.dumps(document(report), allow_nan=False))["diagnosis"]
    assert (found["layer"], found["causes"][0]["suspect"]) == ("stem", "padding")
    assert found["b"]["after"]["name"] == "stem"


def test_what_explains_one_layer_alone_or_nothing_is_said():
    kernel = {"stem.conv.kernel": TEN.state["stem.conv.kernel"][..., ::-1]}
    first, second = explanations(in_torch(TEN, replace(TEN, state={**TEN.state, **kernel})).diagnosis)
    assert first.startswith("No usual cause explains stem; tried on either side: padding, epsilon, activation, input")
    count = kernel["stem.conv.kernel"].size
    assert second == f"Of its weights, stem.conv.kernel differs in {count} of {count} values."
    assert explanations(in_torch(TEN, TEN).diagnosis) == []


@pytest.mark.parametrize(("moved", "is_near"), [(1e-3 - 1e-5, True), (5e-3, False)])
def test_what_explains_nearly_all_is_told_apart(moved, is_near):
    """Variances in float32 that make up for an epsilon of 1e-5, in a network that has 1e-3: rounding is left."""
    # The smaller the variance, the more an epsilon shows.
    small = {name: array * (np.float32(0.01) if "variance" in name else 1) for name, array in TEN.state.items()}
    a = replace(TEN, state=small)
    raised = {name: array + np.float32(moved) for name, array in small.items() if "variance" in name}
    found = in_torch(a, replace(a, state={**small, **raised}), inputs=RandomInput(size=32)).diagnosis
    assert (found.layer, found.causes) == ("stem", ())
    lines = explanations(found)
    assert lines[-1].startswith("Of its weights, stem.norm.variance differs in ")
    if not is_near:  # the control
        assert found.nearest is None
        assert not any(line.startswith("Nearly") for line in lines)
        return
    near = found.nearest
    assert (near.suspect, near.side, near.words) == (Suspect.EPSILON, "b", "normalises with epsilon 1e-05")
    assert 1e-12 < near.relative_l2 < 1e-6
    assert near.before > 1e-3
    assert lines[1].startswith(
        f"Nearly (epsilon): at stem, {near.relative_l2:.0e} is left of {near.before:.0e} when B "
    )


def test_the_tensors_that_differ_are_named_with_what_is_in_them():
    kernel, beta = (TEN.state[name].copy() for name in ("stem.conv.kernel", "stem.norm.beta"))
    kernel[0, 0, 0, 0] += 1
    beta[:2] = np.nan
    b = replace(TEN, state={**TEN.state, "stem.conv.kernel": kernel, "stem.norm.beta": beta})
    line = explanations(in_torch(TEN, b, inputs=RandomInput(size=32)).diagnosis)[-1]
    assert line == (
        f"Of its weights, stem.conv.kernel differs in 1 of {kernel.size} values; "
        f"stem.norm.beta differs in 2 of {beta.size} values and holds NaN or Inf in B."
    )
    spec, state = fold(TEN.spec, TEN.state)
    folded = replace(TEN, spec=spec, state=state)
    line = explanations(in_torch(TEN, folded, inputs=RandomInput(size=32)).diagnosis)[-1]
    assert line == "B is folded, the other one is not, so that their weights cannot be the same."
    logits = {"classifier.bias": TEN.state["classifier.bias"] + np.float32(1)}
    line = explanations(
        in_torch(TEN, replace(TEN, state={**TEN.state, **logits}), inputs=RandomInput(size=32)).diagnosis
    )[-1]
    assert line == "Of its weights, classifier.bias differs in 10 of 10 values."


def test_the_command_and_the_page_name_the_cause(tmp_path):
    path, page = str(oracle.FOLDER / "efficientnet-b0"), tmp_path / "report.html"
    found = CliRunner().invoke(
        app, ["parity", path, path, "--b-backend", "torch", "--b-ema", "never", "--report", str(page)]
    )
    said = " ".join(found.output.split())
    assert found.exit_code == 1
    wanted = "when B takes the moving averages of its file (ema='always'), not the variables. The whole network agrees"
    assert wanted in said
    assert "stem.norm.variance" in said
    text = html.unescape(page.read_text())
    assert wanted in text
    assert "What goes into the layer" in text
