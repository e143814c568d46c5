"""What a conversion does where the target's own network pads, divides or normalises otherwise."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters import (
    DIALECTS,
    DifferentSemantics,
    EpsilonCannotBeMadeUpFor,
    FormatError,
    SourceOptions,
    convert,
    open_checkpoint,
    save_state,
)
from converters.carrying.epsilon import SHIFTED_KEY, shifted
from converters.formats import open_reader
from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import (
    Activation,
    JpegDecoding,
    NetworkSpec,
    Norm,
    Padding,
    Pooling,
    Resampling,
    ShorterSide,
    parameters,
    resolve,
)
from tests.converters.memory import equal, in_dialect, opened
from tests.lively import lively_state

SPEC = resolve("b0", width=0.375, depth=0.5, num_classes=10)
SYMMETRIC = replace(SPEC, padding=Padding.SYMMETRIC)
STATE = lively_state(SPEC)
VARIANCES = [name for name in STATE if name.endswith(".variance")]
PADDING = {
    name: own.padding
    for name, dialect in DIALECTS.items()
    if dialect.is_written
    and (own := dialect.meaning(SPEC.name, SPEC.family)) is not None
    and (dialect.families is None or SPEC.family in dialect.families)
}


def _saved(tmp_path: Path, spec: NetworkSpec) -> Path:
    path = tmp_path / f"{spec.padding}.safetensors"
    save_state(path, spec, STATE, overwrite=True, sync=False)
    return path


def _stored_variances(path: Path, dialect: str, spec: NetworkSpec) -> dict[str, np.ndarray]:
    """What the file itself holds, by canonical name, without undoing anything."""
    reader = open_reader(path)
    plain = {name: np.array(reader.read(name)) for name in reader.tensors}
    found = understand(MemoryReader(plain, path=path, format="memory"), SourceOptions(dialect=dialect, spec=spec))
    return {name: array for name, array in found.state().items() if name in VARIANCES}


@pytest.mark.parametrize("dialect", PADDING)
def test_another_padding_is_refused_with_the_ways_out(dialect: str, tmp_path: Path) -> None:
    other = {Padding.SAME: Padding.SYMMETRIC, Padding.SYMMETRIC: Padding.SAME}[PADDING[dialect]]
    source, target = _saved(tmp_path, replace(SPEC, padding=other)), tmp_path / "m.npz"
    with pytest.raises(DifferentSemantics, match="pads") as caught:
        convert(source, target, to=dialect)
    assert "--accept-different-logits" in str(caught.value)
    assert str(caught.value).count("\n") < 10
    assert not target.exists()
    report = convert(source, target, to=dialect, accept_different_logits=True, sync=False)
    assert any("as you accepted" in note for note in report.notes)
    with open_checkpoint(target) as checkpoint:
        assert checkpoint.spec.padding is PADDING[dialect]
    same = convert(_saved(tmp_path, replace(SPEC, padding=PADDING[dialect])), tmp_path / "s.npz", to=dialect)
    assert not any("as you accepted" in note for note in same.notes)


def test_our_own_networks_keep_the_padding(tmp_path: Path) -> None:
    source = _saved(tmp_path, SYMMETRIC)
    for target in ("m.pth", "m.npz"):
        convert(source, tmp_path / target, sync=False)
        with open_checkpoint(tmp_path / target) as checkpoint:
            assert checkpoint.spec.padding is Padding.SYMMETRIC


def test_an_epsilon_is_made_up_for_and_comes_back_bit_for_bit(tmp_path: Path) -> None:
    source = _saved(tmp_path, SYMMETRIC)
    report = convert(source, tmp_path / "timm.safetensors", to="timm-symmetric", sync=False)
    assert any("epsilon differs: 0.001 here, 1e-05" in note for note in report.notes)
    stored = _stored_variances(tmp_path / "timm.safetensors", "timm-symmetric", SYMMETRIC)
    for name in VARIANCES:
        ours = STATE[name].astype(np.float64) + SYMMETRIC.norm.epsilon
        np.testing.assert_allclose(stored[name].astype(np.float64) + 1e-5, ours, rtol=1e-7, atol=0)
        assert not np.array_equal(stored[name], STATE[name])
    convert(tmp_path / "timm.safetensors", tmp_path / "back.npz", to="native", sync=False)
    with open_checkpoint(tmp_path / "back.npz") as checkpoint:
        assert checkpoint.spec == SYMMETRIC
        assert equal(checkpoint.state(), STATE)


def test_a_configuration_has_the_epsilon_of_the_weights_beside_it(tmp_path: Path) -> None:
    spec = resolve("b0", width=0.38, depth=0.3, num_classes=10)
    save_state(tmp_path / "s.npz", replace(spec, norm=Norm(epsilon=1e-2, decay=0.99)), lively_state(spec), sync=False)
    report = convert(tmp_path / "s.npz", tmp_path / "m", to="huggingface", to_format="hf-folder", sync=False)
    assert any("other sizes of its input give other logits" in note for note in report.notes)
    assert any("Added 0.009 to every running variance" in note for note in report.notes)
    assert json.loads((tmp_path / "m" / "config.json").read_text())["batch_norm_eps"] == 1e-3


def test_variances_that_were_trained_since_are_taken_as_they_are(tmp_path: Path) -> None:
    convert(_saved(tmp_path, SYMMETRIC), tmp_path / "timm.npz", to="timm-symmetric", sync=False)
    reader = open_reader(tmp_path / "timm.npz")
    arrays = {name: np.array(reader.read(name)) for name in reader.tensors}
    arrays["bn1.running_var"][0] += 1
    changed = MemoryReader(arrays, path=Path("memory"), format="memory")
    changed.metadata = reader.metadata
    checkpoint = understand(changed, SourceOptions())
    assert checkpoint.spec.norm.epsilon == 1e-5
    assert any("were changed since" in note for note in checkpoint.notes)
    assert checkpoint.state()["stem.norm.variance"][0] == arrays["bn1.running_var"][0]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "[" * 9999),
        '{"epsilon":1,"dtype":"O","lengths":{"a":1},"zlib":""}',
        '{"epsilon":1,"dtype":"f4","lengths":{"a":1e999},"zlib":""}',
        f'{{"epsilon":{"9" * 400},"dtype":"f4","lengths":{{}},"zlib":""}}',
    ],
)
def test_damaged_originals_are_refused(text: str, tmp_path: Path) -> None:
    convert(_saved(tmp_path, SYMMETRIC), tmp_path / "timm.npz", to="timm-symmetric", sync=False)
    reader = open_reader(tmp_path / "timm.npz")
    damaged = MemoryReader({name: np.array(reader.read(name)) for name in reader.tensors}, path=Path("m"), format="m")
    damaged.metadata = {**reader.metadata, SHIFTED_KEY: text}
    with pytest.raises(FormatError, match="is damaged"):
        understand(damaged, SourceOptions())


def test_a_variance_too_small_to_make_up_is_refused(tmp_path: Path) -> None:
    small = replace(SYMMETRIC, norm=Norm(epsilon=1e-5, decay=0.9))
    state = STATE | {"head.norm.variance": np.full_like(STATE["head.norm.variance"], 1e-4)}
    save_state(tmp_path / "s.npz", replace(small, padding=Padding.SAME), state, sync=False)
    with pytest.raises(EpsilonCannotBeMadeUpFor, match=r"smallest running variance is 0\.0001"):
        convert(tmp_path / "s.npz", tmp_path / "m.npz", to="official")
    report = convert(tmp_path / "s.npz", tmp_path / "m.npz", to="official", accept_different_logits=True, sync=False)
    assert any("stay as they are" in note for note in report.notes)
    with open_checkpoint(tmp_path / "m.npz") as checkpoint:
        assert equal(checkpoint.state(), state)


def test_the_names_of_timm_mean_tf_models_unless_the_user_says_otherwise() -> None:
    arrays = in_dialect("timm", SPEC, STATE)
    assumed = opened(arrays)
    assert (assumed.spec.padding, assumed.spec.norm) == (Padding.SAME, Norm(epsilon=1e-3, decay=0.9))
    assert any("--from timm-symmetric" in note for note in assumed.notes)
    said = opened(arrays, SourceOptions(dialect="timm-symmetric"))
    assert (said.spec.padding, said.spec.norm) == (Padding.SYMMETRIC, Norm(epsilon=1e-5, decay=0.9))
    assert not any("--from timm-symmetric" in note for note in said.notes)
    reader = MemoryReader(arrays, path=Path("memory"), format="memory")
    reader.metadata = {"config.json": '{"architecture": "efficientnet_b0"}'}
    assert understand(reader, SourceOptions()).dialect.name == "timm-symmetric"
    reader.metadata = {"config.json": '{"architecture": "tf_efficientnet_b0"}'}
    hinted = understand(reader, SourceOptions())
    assert hinted.dialect.name == "timm"
    assert not any("--from timm-symmetric" in note for note in hinted.notes)


@pytest.mark.parametrize(
    ("options", "norm", "warned"),
    [
        (SourceOptions(), Norm(epsilon=1e-5, decay=0.9), True),
        (SourceOptions(arch="b0", width=0.375, depth=0.5), Norm(epsilon=1e-5, decay=0.9), False),
        (SourceOptions(arch="b5", width=0.375, depth=0.5), Norm(epsilon=1e-3, decay=0.99), False),
    ],
)
def test_norms_that_torchvision_has_by_variant(options: SourceOptions, norm: Norm, warned: bool) -> None:
    found = opened(in_dialect("torchvision", SPEC, STATE), options)
    assert (found.spec.padding, found.spec.norm) == (Padding.SYMMETRIC, norm)
    assert any("differ in epsilon or decay" in note for note in found.notes) is warned


@pytest.mark.parametrize(
    ("variant", "norm", "scale"),
    [
        ("b4", Norm(epsilon=1e-5, decay=0.9), 0.229 * 255),
        ("b5", Norm(epsilon=1e-3, decay=0.99), 0.229 * 255),
        ("v2-s", Norm(epsilon=1e-3, decay=0.9), 0.229 * 255),
        ("v2-l", Norm(epsilon=1e-3, decay=0.9), 127.5),
    ],
)
def test_what_torchvision_does_with_published_networks(variant: str, norm: Norm, scale: float) -> None:
    spec = resolve(variant)
    arrays = {item.name: np.broadcast_to(np.float16(0), item.shape) for item in parameters(spec)}
    found = opened(in_dialect("torchvision", spec, arrays))
    assert (found.spec.name, found.spec.norm) == (spec.name, norm)
    assert found.spec.preprocessing.scale[0] == pytest.approx(scale)
    assert not any("differ in epsilon" in note for note in found.notes)
    assert any("Weights do not tell how images were prepared" in note for note in found.notes)


@pytest.mark.parametrize(
    ("arch", "dialect"), [("efficientnet_b0", "timm-symmetric"), ("tf_efficientnet_b0", "timm"), ("resnet50", "timm")]
)
def test_the_architecture_in_timm_s_training_checkpoint_is_taken(arch: str, dialect: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    state = {name: torch.from_numpy(array.copy()) for name, array in in_dialect("timm", SPEC, STATE).items()}
    torch.save({"epoch": 3, "arch": arch, "state_dict": state}, tmp_path / "last.pth.tar")
    with open_checkpoint(tmp_path / "last.pth.tar") as checkpoint:
        assert checkpoint.dialect.name == dialect
        assert any("took tf_" in note for note in checkpoint.notes) is (arch == "resnet50")


def test_shifting_keeps_the_type() -> None:
    assert shifted(np.ones(3, np.float16), 0.5).dtype == np.float16


def test_maximum_pooling_is_refused_where_the_targets_own_network_averages(tmp_path: Path) -> None:
    assert SPEC.classifier is not None
    maximum = replace(SPEC, classifier=replace(SPEC.classifier, pooling=Pooling.MAX))
    save_state(tmp_path / "max.safetensors", maximum, STATE, sync=False)
    with pytest.raises(DifferentSemantics, match=r"takes the\s+average over the image"):
        convert(tmp_path / "max.safetensors", tmp_path / "no.pth", to="efficientnet-pytorch", sync=False)
    assert not (tmp_path / "no.pth").exists()
    accepted = convert(
        tmp_path / "max.safetensors",
        tmp_path / "yes.pth",
        to="efficientnet-pytorch",
        sync=False,
        accept_different_logits=True,
    )
    assert any("Pooling differs" in note for note in accepted.notes)
    timm = convert(tmp_path / "max.safetensors", tmp_path / "timm.pth", to="timm", sync=False)
    assert any("global_pool='max'" in note for note in timm.notes)
    other = convert(tmp_path / "max.safetensors", tmp_path / "other.safetensors", to="huggingface", sync=False)
    assert any("pooling_type='max'" in note for note in other.notes)
    # The control: the network that averages is written without a word about it.
    save_state(tmp_path / "mean.safetensors", SPEC, STATE, sync=False)
    usual = convert(tmp_path / "mean.safetensors", tmp_path / "usual.pth", to="efficientnet-pytorch", sync=False)
    assert not any("ooling" in note for note in usual.notes)


def test_torchvision_s_own_evaluation_is_assumed_of_its_files() -> None:
    found = opened(in_dialect("torchvision", SPEC, STATE))
    rule = found.spec.preprocessing
    assert (rule.resolution, rule.crop, rule.resampling, rule.jpeg) == (
        224,
        ShorterSide(side=256),
        Resampling.PILLOW_BICUBIC,
        JpegDecoding.ACCURATE,
    )
    assert (rule.mean, rule.scale) == (SPEC.preprocessing.mean, SPEC.preprocessing.scale)
    assert any("assumed as torchvision evaluates published ones, at 224 pixels" in note for note in found.notes)
    # The user knows better.
    said = opened(in_dialect("torchvision", SPEC, STATE), SourceOptions(recipe="advprop"))
    assert said.spec.preprocessing == resolve("b0", recipe="advprop").preprocessing


def test_every_evaluation_of_torchvision_makes_a_sound_definition() -> None:
    evaluations = DIALECTS["torchvision"].evaluations
    assert len(evaluations) == 11
    for name, evaluation in evaluations.items():
        spec = resolve(name)
        changed = replace(spec, preprocessing=evaluation.applied(spec.preprocessing))
        assert changed.preprocessing.resolution == evaluation.resolution


def _changed(what: str) -> NetworkSpec:
    match what:
        case "activation relu":
            return replace(SPEC, stem=replace(SPEC.stem, activation=Activation.RELU))
        case "other strides":
            return _with_block(SPEC, 1, stride=1)
        case "a stem of another stride":
            return replace(SPEC, stem=replace(SPEC.stem, stride=1))
        case _:
            index = next(index for index, block in enumerate(SPEC.blocks) if block.has_residual)
            return _with_block(SPEC, index, has_residual=False)


def _with_block(spec: NetworkSpec, index: int, **fields: object) -> NetworkSpec:
    blocks = [replace(block, **fields) if place == index else block for place, block in enumerate(spec.blocks)]
    return replace(spec, blocks=tuple(blocks))


@pytest.mark.parametrize("what", ["activation relu", "other strides", "a stem of another stride", "other residuals"])
@pytest.mark.parametrize("name", sorted(PADDING))
def test_what_no_shape_tells_is_not_lost_in_a_network_that_has_it_fixed(name: str, what: str, tmp_path: Path) -> None:
    usual = replace(SPEC, padding=PADDING[name])
    convert(_saved(tmp_path, usual), tmp_path / "usual.npz", to=name, sync=False)
    path = _saved(tmp_path, replace(_changed(what), padding=PADDING[name]))
    with pytest.raises(DifferentSemantics, match=f"this network has .*{what}, unlike its own efficientnet-b0"):
        convert(path, tmp_path / "m.npz", to=name, sync=False)
    assert not (tmp_path / "m.npz").exists()
    report = convert(path, tmp_path / "m.npz", to=name, accept_different_logits=True, sync=False)
    assert any(what in note and "as you accepted" in note for note in report.notes)
    for own in ("native", "effnet-torch", "effnet-keras"):
        with open_checkpoint(convert(path, tmp_path / f"{own}.npz", to=own, sync=False).target[0]) as checkpoint:
            assert (checkpoint.spec.stem, checkpoint.spec.blocks) == (_changed(what).stem, _changed(what).blocks)
