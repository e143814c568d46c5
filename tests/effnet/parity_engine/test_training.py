"""Training side by side: both frameworks take the same steps, and mistakes of either are found and named."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from typer.testing import CliRunner

from converters import save_state
from effnet import Network, Trainee, training_parity
from effnet.choices import Backend
from effnet.cli.app import app
from effnet.errors import InputError
from effnet.frameworks import import_frameworks
from effnet.parity_engine.trainee import StepRecord
from effnet.parity_engine.training_compare import Kind, compare_step
from effnet.parity_engine.training_report import COLUMNS, document, rows, verdict
from effnet_core import TRAINING_RECIPES, Decay, Decayed, InvalidOption, Schedule, Sgd, WeightDecay, resolve
from tests.lively import images, lively_state

X = images(4, 48, 64)


@pytest.fixture(scope="module", autouse=True)
def _frameworks():
    import_frameworks([Backend.TF, Backend.TORCH])
    import_module("torch").set_num_threads(1)


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    if request.param == "cuda":
        if not import_module("torch").cuda.is_available():
            pytest.skip("PyTorch sees no CUDA device on this machine")
        if not import_module("tensorflow").config.list_physical_devices("GPU"):
            pytest.skip("TensorFlow sees no CUDA device on this machine")
    return request.param


def short(name="b0", blocks=5):
    """The first blocks of a narrow network, a residual among them, whose branch is often dropped."""
    spec = resolve(name, width=0.1, depth=0.35, num_classes=7, drop_connect_rate=0.6)
    kept = spec.blocks[:blocks]
    return replace(spec, blocks=kept, head=replace(spec.head, in_channels=kept[-1].out_channels))


def network(spec):
    return Network(spec=spec, state=lively_state(spec), name=spec.name)


SPEC = short()
BASE = network(SPEC)
TWO_BLOCKS = network(short(blocks=2))


def trained(*, given=BASE, backends=("torch", "torch"), steps=2, **options):
    a, b = backends
    return training_parity(given, given, a_backend=a, b_backend=b, steps=steps, inputs=X, **options)


def of_torch(spec, state, dtype, **options):
    options = {"running_variance": "biased"} | options
    return import_module("effnet_torch").create_model(spec, state, dtype=dtype, **options)


def raw_momentum_torch(spec, state, dtype):
    model = of_torch(spec, state, dtype)
    for module in model.modules():
        if hasattr(module, "running_mean"):
            module.momentum = spec.norm.decay
    return model


def element_wise_torch(spec, state, dtype):
    model = of_torch(spec, state, dtype)
    for block in model.blocks:
        if block.drop_connect is not None:
            block.drop_connect = import_module("torch").nn.Dropout(block.drop_connect.rate)
    return model


def unbiased_torch(spec, state, dtype):
    return of_torch(spec, state, dtype, running_variance="unbiased")


def raw_and_unbiased_torch(spec, state, dtype):
    model = unbiased_torch(spec, state, dtype)
    model.stem.norm.momentum = spec.norm.decay
    return model


def keras_with(change):
    """A build of the Keras model whose layers `change` replaces, where it gives another."""

    def build(spec, state, dtype):
        package, keras = import_module("effnet_tf"), import_module("keras")
        model = package.create_model(spec, state, dtype=dtype)
        model = keras.models.clone_model(model, clone_function=lambda layer: change(keras, layer))
        package.load_state(model, spec, state)
        return model

    return build


def raw_momentum_keras(keras, layer):
    if isinstance(layer, keras.layers.BatchNormalization):
        return type(layer).from_config({**layer.get_config(), "momentum": 1 - layer.momentum})
    return layer


def element_wise_keras(keras, layer):
    if layer.name.endswith("drop_connect"):
        return keras.layers.Dropout(layer.rate, name=layer.name, dtype=layer.dtype_policy)
    return layer


def unbiased_keras(keras, layer):
    class Unbiased(keras.layers.BatchNormalization):
        def call(self, inputs, training=None, mask=None):
            old = keras.ops.copy(self.moving_variance) if training else None
            outputs = super().call(inputs, training=training, mask=mask)
            if training:
                values = int(np.prod(inputs.shape[:-1]))
                batch = self.moving_variance - self.momentum * old
                self.moving_variance.assign(self.momentum * old + batch * (values / (values - 1)))
            return outputs

    return Unbiased.from_config(layer.get_config()) if isinstance(layer, keras.layers.BatchNormalization) else layer


def keys(report):
    return {(cause.side, cause.tensor): cause.explanation for cause in report.causes}


@pytest.mark.parametrize("name", ["b0", "lite0", "v2-b0"])
def test_ten_steps_agree_between_the_frameworks(device, name, capsys):
    both = network(short(name))
    report = training_parity(both, both, steps=10, inputs=X, device=device)
    with capsys.disabled():
        print(f"\n{name} on {device}", *("  ".join(row) for row in rows(report)), sep="\n")
    assert (report.a.backend, report.b.backend) == ("tf", "torch")
    assert report.agrees
    assert verdict(report)[0].startswith("The same: in 10 steps")
    assert {site.name.rsplit(".", 1)[-1] for site in report.sites} == {"drop_connect", "dropout"}
    assert [set(step.kinds) for step in report.steps] == [set(Kind)] * 10
    assert 0 < max(found.float64 for step in report.steps for found in step.kinds.values()) < 1e-9
    # It was a training, in both precisions: the loss fell, and float32 went its own way.
    assert report.steps[-1].loss_a < report.steps[0].loss_a
    assert min(step.kinds[Kind.WEIGHT].float32 for step in report.steps[1:]) > 1e-9


@pytest.mark.parametrize(
    ("build", "tensor", "words"),
    [
        (raw_momentum_torch, "stem.norm.mean", "the decay 0.99 is used as momentum, raw"),
        (
            unbiased_torch,
            "stem.norm.variance",
            "unbiased variance of the batch in place of the biased one, n / (n - 1)",
        ),
        (raw_and_unbiased_torch, "stem.norm.variance", "n = 3072, and the decay 0.99 used as momentum, raw"),
        (element_wise_torch, "blocks.4.drop_connect", "element-wise dropout in place of drop-connect"),
    ],
)
@pytest.mark.parametrize("side", ["a", "b"])
def test_a_mistake_in_pytorch_is_named(build, tensor, words, side):
    report = trained(**{f"{side}_trainee": Trainee(build=build)}, steps=1)
    assert not report.agrees
    assert words in keys(report)[side, tensor]
    assert report.difference.step == 0


@pytest.mark.parametrize(
    ("change", "tensor", "words"),
    [
        (raw_momentum_keras, "stem.norm.mean", "the decay 0.99 is used as momentum, raw"),
        (
            unbiased_keras,
            "stem.norm.variance",
            "unbiased variance of the batch in place of the biased one, n / (n - 1)",
        ),
        (element_wise_keras, "blocks.4.drop_connect", "element-wise dropout in place of drop-connect"),
    ],
)
def test_a_mistake_in_keras_is_named(change, tensor, words):
    given = BASE if change is element_wise_keras else TWO_BLOCKS
    report = trained(given=given, backends=("tf", "torch"), steps=1, a_trainee=Trainee(build=keras_with(change)))
    assert words in keys(report)["a", tensor]


def test_another_rate_of_dropping_and_none_are_named():
    def build(spec, state, dtype):
        model = of_torch(spec, state, dtype, dropout_rate=0.0)
        model.blocks[4].drop_connect.rate = 0.5
        return model

    found = keys(trained(b_trainee=Trainee(build=build), steps=1))
    assert found["b", "dropout"] == "drops nothing there"
    assert found["b", "blocks.4.drop_connect"].startswith("drops with rate 0.5 against 0.24")


def test_decay_of_biases_is_named():
    everything = WeightDecay(rate=1e-5, tensors=Decayed.EVERYTHING)
    recipe = replace(TRAINING_RECIPES["v1"], weight_decay=everything)
    report = trained(b_trainee=Trainee(recipe=recipe), steps=1)
    assert report.difference.kind is Kind.LOSS
    found = keys(report)
    assert (
        "1e-05 of everything against label smoothing 0.1, weight decay 1e-05 of kernels-and-biases"
        in found["b", "loss"]
    )
    assert "weight decay of 1e-05 on this tensor" in found["b", "stem.norm.gamma"]


def test_optimisers_with_other_arithmetic_are_named():
    torch = import_module("torch")
    theirs = Trainee(optimizer=lambda tensors: torch.optim.RMSprop(tensors, lr=1, alpha=0.9, eps=1e-3, momentum=0.9))
    report = trained(given=TWO_BLOCKS, b_trainee=theirs, steps=3)
    assert (report.difference.step, report.difference.kind) == (1, Kind.WEIGHT)  # the first step has the rate 0
    (explanation,) = keys(report).values()
    for words in ("multiplied with the momentum", "added to the root", "starts at zero"):
        assert words in explanation
    keras = import_module("keras")
    own = Trainee(optimizer=lambda _: keras.optimizers.RMSprop(0.1, rho=0.9, momentum=0.9, epsilon=1e-3))
    report = trained(given=TWO_BLOCKS, backends=("tf", "torch"), a_trainee=own)
    assert [cause.explanation for cause in report.causes] == ["the mean square starts at zero, not at 1"]


def test_sgd_of_keras_is_told_from_that_of_tensorflow():
    keras = import_module("keras")
    recipe = replace(TRAINING_RECIPES["v1"], optimizer=Sgd(momentum=0.9))
    own = Trainee(optimizer=lambda _: keras.optimizers.SGD(0.1, momentum=0.9))
    report = trained(given=TWO_BLOCKS, backends=("tf", "torch"), recipe=recipe, a_trainee=own)
    assert report.difference.step == 1  # where the rate is another than it was for the first gradient
    assert [cause.explanation for cause in report.causes] == ["the learning rate goes into the momentum"]


def test_averages_without_warm_up_are_named():
    average = TRAINING_RECIPES["v1"].moving_average
    constant = type("Constant", (type(average),), {"decay_at": lambda self, updates: self.decay})(decay=average.decay)
    recipe = replace(TRAINING_RECIPES["v1"], moving_average=constant)
    report = trained(b_trainee=Trainee(recipe=recipe))
    assert report.difference.kind is Kind.AVERAGE
    assert any("0.9999: the decay without warm-up" in cause.explanation for cause in report.causes)


def test_recipes_that_part_only_after_thousands_of_steps_are_named():
    usual = TRAINING_RECIPES["v1"]
    recipe = replace(usual, moving_average=replace(usual.moving_average, decay=0.999))
    report = trained(b_trainee=Trainee(recipe=recipe), steps=2)
    assert report.difference is None
    assert keys(report) == {("b", "moving_average.decay"): "its recipe says 0.999, that of a 0.9999"}
    assert not report.agrees


def test_what_nothing_explains_is_said_to_be_unexplained():
    def build(spec, state, dtype):
        return of_torch(spec, {**state, "head.conv.kernel": state["head.conv.kernel"] * 1.01}, dtype)

    report = trained(b_trainee=Trainee(build=build), steps=1)
    assert report.difference.tensor == "loss"
    assert "first at step 0: the loss is" in verdict(report)[0]
    assert verdict(report)[-2] == "None of the known mistakes explains it."
    assert verdict(report)[-1].startswith("The forward passes differ before anything is trained")
    assert {len(row) for row in rows(report)} == {len(COLUMNS)}
    assert document(report)["agrees"] is False


def test_a_training_that_moves_no_weight_says_that_it_compares_no_optimiser():
    """The first step of a warm-up has rate 0."""
    torch = import_module("torch")
    other = Trainee(optimizer=lambda tensors: torch.optim.AdamW(tensors, lr=1))
    report = trained(given=TWO_BLOCKS, b_trainee=other, steps=1)
    assert report.agrees
    assert verdict(report)[0].startswith("The same: in 1 step everything")
    assert "the optimisers were not compared. Take more steps." in verdict(report)[1]
    more = trained(given=TWO_BLOCKS, b_trainee=other, steps=2)  # the control
    assert not more.agrees
    assert not any("optimisers were not" in line for line in verdict(more))


@pytest.mark.parametrize(("change", "agrees"), [(1e-15, True), (1e-11, False)])
def test_rounding_that_is_amplified_beyond_float32_is_no_difference(change, agrees):
    """Rates so high that after three steps nothing is left of some gradients in float32."""
    schedule = Schedule(decay=Decay.CONSTANT, base_rate=40.0, warmup_epochs=0)
    random = np.random.default_rng(3)
    state = {name: array * (1 + change * random.normal(size=array.shape)) for name, array in BASE.state.items()}
    report = training_parity(
        BASE,
        replace(BASE, state=state),
        a_backend="torch",
        b_backend="torch",
        steps=4,
        inputs=X,
        recipe=replace(TRAINING_RECIPES["v1"], schedule=schedule),
    )
    assert report.agrees is agrees
    assert (report.shaken_from == 3) is agrees
    assert ("loses some tensors" in verdict(report)[1]) is agrees


def step_of(**gradients):
    made = {name: np.array([value]) for name, value in gradients.items()}
    return StepRecord(learning_rate=1.0, loss=1.0, logits=np.zeros(1), gradients=made, variables={}, averages={})


@pytest.mark.parametrize("broken", [np.nan, np.inf, -1.0])
def test_what_breaks_explains_nothing(broken):
    """Neither itself nor the other tensors."""
    a, b = step_of(x=broken, y=1.0, z=1.0), step_of(x=1.0, y=1.001, z=1.0)
    a32, b32 = step_of(x=0.5, y=2.0, z=2.0), step_of(x=0.5, y=2.0, z=2.0)
    for moved, agreeing in ((0.0, {"z"}), (1e-3, {"y", "z"})):
        shaken = step_of(x=broken, y=1.0, z=1.0 + moved)
        found = compare_step(0, (a, b), (a32, b32), limit=1e-9, shaken=shaken)[1]
        assert {one.name for one in found if one.kind is Kind.GRADIENT and one.agrees} == agreeing


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"steps": 0}, InputError),
        ({"recipe": "v3"}, InvalidOption),
        ({"labels": np.array([0, 1, 2, 7])}, InputError),
        ({"labels": np.zeros((4, 7))}, InputError),
    ],
    ids=str,
)
def test_what_cannot_be_trained_is_refused(options, error):
    with pytest.raises(error, match="expected"):
        trained(**options)


def test_one_image_has_no_statistics():
    with pytest.raises(InputError, match="at least 2 images"):
        training_parity(BASE, BASE, a_backend="torch", b_backend="torch", inputs=X[:1])


def test_the_command(tmp_path):
    save_state(tmp_path / "b0.safetensors", SPEC, BASE.state)
    paths = [str(tmp_path / "b0.safetensors")] * 2
    words = ["--a-backend", "torch", "--b-backend", "torch", "--train", "2", "--size", "48", "--batch", "4"]
    done = CliRunner().invoke(app, ["parity", *paths, *words])
    assert done.exit_code == 0, done.output
    assert "The same: in 2 steps" in done.output
    done = CliRunner().invoke(app, ["parity", *paths, *words, "--training-recipe", "v3"])
    assert done.exit_code == 2
    for wrong in (["--train", "2", "--exact"], ["--training-recipe", "v1"]):
        assert CliRunner().invoke(app, ["parity", *paths, *wrong]).exit_code == 2
    other = {**BASE.state, "stem.conv.kernel": BASE.state["stem.conv.kernel"] * 1.5}
    save_state(tmp_path / "other.safetensors", SPEC, other)
    done = CliRunner().invoke(app, ["parity", paths[0], str(tmp_path / "other.safetensors"), *words, "--json"])
    assert done.exit_code == 1
    assert '"kind": "loss"' in done.output
