import numpy as np
import pytest

from converters import DIALECTS, SeveralNetworks, SourceOptions, UnknownDialect
from converters.names.naming import Unnamed, table
from converters.names.patterns import pattern
from effnet_core import VARIANTS, CheckpointMismatch, Family, resolve, without_classifier
from tests.converters.memory import equal, in_dialect, opened
from tests.converters.resnet import resnet50
from tests.lively import lively_state

NARROW = resolve("b0", width=0.13, num_classes=10)
NETWORKS = {
    family: resolve(name, width=0.13, depth=0.5, num_classes=10)
    for name, family in (
        ("b0", Family.V1),
        ("lite0", Family.LITE),
        ("edgetpu-S", Family.EDGETPU),
        ("condconv-b0-4e", Family.CONDCONV),
        ("efficientnetv2-b1", Family.V2),
    )
}

NAMES = {
    # The same tensor in each dialect: block 0 has no expansion, block 1 has.
    "stem.conv.kernel": (
        "efficientnet-b0/stem/conv2d/kernel",
        "_conv_stem.weight",
        "stem.conv.weight",
        "features.0.0.weight",
        "features.stem_conv.0.weight",
        "efficientnet.embeddings.convolution.weight",
    ),
    "blocks.0.depthwise.conv.kernel": (
        "efficientnet-b0/blocks_0/depthwise_conv2d/depthwise_kernel",
        "_blocks.0._depthwise_conv.weight",
        "blocks.0.depthwise.conv.weight",
        "features.1.0.block.0.0.weight",
        "features.1a.block.dwconv.0.weight",
        "efficientnet.encoder.blocks.0.depthwise_conv.depthwise_conv.weight",
    ),
    "blocks.0.depthwise.norm.mean": (
        "efficientnet-b0/blocks_0/tpu_batch_normalization/moving_mean",
        "_blocks.0._bn1.running_mean",
        "blocks.0.depthwise.norm.running_mean",
        "features.1.0.block.0.1.running_mean",
        "features.1a.block.dwconv.1.running_mean",
        "efficientnet.encoder.blocks.0.depthwise_conv.depthwise_norm.running_mean",
    ),
    "blocks.0.project.conv.kernel": (
        "efficientnet-b0/blocks_0/conv2d/kernel",
        "_blocks.0._project_conv.weight",
        "blocks.0.project.conv.weight",
        "features.1.0.block.2.0.weight",
        "features.1a.block.project_conv.0.weight",
        "efficientnet.encoder.blocks.0.projection.project_conv.weight",
    ),
    "blocks.0.project.norm.gamma": (
        "efficientnet-b0/blocks_0/tpu_batch_normalization_1/gamma",
        "_blocks.0._bn2.weight",
        "blocks.0.project.norm.weight",
        "features.1.0.block.2.1.weight",
        "features.1a.block.project_conv.1.weight",
        "efficientnet.encoder.blocks.0.projection.project_bn.weight",
    ),
    "blocks.1.expand.norm.beta": (
        "efficientnet-b0/blocks_1/tpu_batch_normalization/beta",
        "_blocks.1._bn0.bias",
        "blocks.1.expand.norm.bias",
        "features.2.0.block.0.1.bias",
        "features.2a.block.expand_conv.1.bias",
        "efficientnet.encoder.blocks.1.expansion.expand_bn.bias",
    ),
    "blocks.1.depthwise.norm.variance": (
        "efficientnet-b0/blocks_1/tpu_batch_normalization_1/moving_variance",
        "_blocks.1._bn1.running_var",
        "blocks.1.depthwise.norm.running_var",
        "features.2.0.block.1.1.running_var",
        "features.2a.block.dwconv.1.running_var",
        "efficientnet.encoder.blocks.1.depthwise_conv.depthwise_norm.running_var",
    ),
    "blocks.1.squeeze_excite.reduce.bias": (
        "efficientnet-b0/blocks_1/se/conv2d/bias",
        "_blocks.1._se_reduce.bias",
        "blocks.1.squeeze_excite.reduce.bias",
        "features.2.0.block.2.fc1.bias",
        "features.2a.block.se.fc1.bias",
        "efficientnet.encoder.blocks.1.squeeze_excite.reduce.bias",
    ),
    "blocks.1.squeeze_excite.expand.kernel": (
        "efficientnet-b0/blocks_1/se/conv2d_1/kernel",
        "_blocks.1._se_expand.weight",
        "blocks.1.squeeze_excite.expand.weight",
        "features.2.0.block.2.fc2.weight",
        "features.2a.block.se.fc2.weight",
        "efficientnet.encoder.blocks.1.squeeze_excite.expand.weight",
    ),
    "blocks.1.project.conv.kernel": (
        "efficientnet-b0/blocks_1/conv2d_1/kernel",
        "_blocks.1._project_conv.weight",
        "blocks.1.project.conv.weight",
        "features.2.0.block.3.0.weight",
        "features.2a.block.project_conv.0.weight",
        "efficientnet.encoder.blocks.1.projection.project_conv.weight",
    ),
    "blocks.15.project.conv.kernel": (
        "efficientnet-b0/blocks_15/conv2d_1/kernel",
        "_blocks.15._project_conv.weight",
        "blocks.15.project.conv.weight",
        "features.7.0.block.3.0.weight",
        "features.7a.block.project_conv.0.weight",
        "efficientnet.encoder.blocks.15.projection.project_conv.weight",
    ),
    "head.norm.mean": (
        "efficientnet-b0/head/tpu_batch_normalization/moving_mean",
        "_bn1.running_mean",
        "head.norm.running_mean",
        "features.8.1.running_mean",
        "features.top.1.running_mean",
        "efficientnet.encoder.top_bn.running_mean",
    ),
    "classifier.kernel": (
        "efficientnet-b0/head/dense/kernel",
        "_fc.weight",
        "classifier.weight",
        "classifier.1.weight",
        "classifier.1.weight",
        "classifier.weight",
    ),
}
NAMED = (
    "official",
    "efficientnet-pytorch",
    "effnet-torch",
    "torchvision",
    "deep-learning-for-image-processing",
    "huggingface",
)
"""The dialects of these names."""


CONDCONV_NAMES = {
    # Blocks 8 to 15 of B0 are conditional; each counts three convolutions, the first of which is never built.
    "blocks.7.expand.conv.kernel": "c/blocks_7/conv2d/kernel",
    "blocks.8.routing.kernel": "c/blocks_8/dense/kernel",
    "blocks.8.expand.conv.kernel": "c/model/blocks_8/cond_conv2d_1/condconv_kernel",
    "blocks.8.depthwise.conv.kernel": "c/model/blocks_8/depthwise_cond_conv2d/depthwise_condconv_kernel",
    "blocks.8.project.conv.kernel": "c/model/blocks_8/cond_conv2d_2/condconv_kernel",
    "blocks.8.squeeze_excite.reduce.kernel": "c/blocks_8/se/conv2d/kernel",
    "blocks.9.expand.conv.kernel": "c/model/blocks_9/cond_conv2d_4/condconv_kernel",
    "blocks.9.depthwise.conv.kernel": "c/model/blocks_9/depthwise_cond_conv2d_1/depthwise_condconv_kernel",
    "blocks.15.project.conv.kernel": "c/model/blocks_15/cond_conv2d_23/condconv_kernel",
    "blocks.15.project.norm.gamma": "c/blocks_15/tpu_batch_normalization_2/gamma",
}
V2_NAMES = {
    "blocks.0.project.conv.kernel": ("v/blocks_0/conv2d/kernel", "_blocks/0/_project_conv/kernel"),
    "blocks.0.project.norm.gamma": ("v/blocks_0/tpu_batch_normalization/gamma", "_blocks/0/_norm1/gamma"),
    "blocks.1.expand.conv.kernel": ("v/blocks_1/conv2d/kernel", "_blocks/1/_expand_conv/kernel"),
    "blocks.1.expand.norm.mean": ("v/blocks_1/tpu_batch_normalization/moving_mean", "_blocks/1/_norm0/moving_mean"),
    "blocks.1.project.conv.kernel": ("v/blocks_1/conv2d_1/kernel", "_blocks/1/_project_conv/kernel"),
    "blocks.5.depthwise.conv.kernel": (
        "v/blocks_5/depthwise_conv2d/depthwise_kernel",
        "_blocks/5/_depthwise_conv/depthwise_kernel",
    ),
    "blocks.5.squeeze_excite.expand.bias": ("v/blocks_5/se/conv2d_1/bias", "_blocks/5/_se/_se_expand/bias"),
    "classifier.bias": ("v/head/dense/bias", "_fc/bias"),
}


@pytest.mark.parametrize("canonical", CONDCONV_NAMES)
def test_names_of_conditional_blocks(canonical: str) -> None:
    entries = table(DIALECTS["official"], resolve("condconv-b0-4e"), scope="c")
    found = {entry.parameter.name: entry.name for entry in entries}
    assert found[canonical] == CONDCONV_NAMES[canonical]


@pytest.mark.parametrize("canonical", V2_NAMES)
def test_names_of_fused_blocks(canonical: str) -> None:
    value = "/.ATTRIBUTES/VARIABLE_VALUE"
    spec = resolve("efficientnetv2-b0")
    found = []
    for dialect in ("official", "official-object"):
        entries = {entry.parameter.name: entry.name for entry in table(DIALECTS[dialect], spec, scope="v")}
        found.append(entries[canonical].removesuffix(value))
    assert tuple(found) == V2_NAMES[canonical]


def test_the_second_name_of_the_classifier_is_read() -> None:
    network = NETWORKS[Family.V2]
    state = lively_state(network)
    arrays = in_dialect("official", network, state)
    renamed = {name.replace("/head/dense/", "/head_1/dense/"): array for name, array in arrays.items()}
    assert renamed.keys() != arrays.keys()
    assert equal(opened(renamed).state(), state)


def test_the_classifier_of_a_network_without_dropout_is_read() -> None:
    state = lively_state(NARROW)
    arrays = in_dialect("deep-learning-for-image-processing", NARROW, state)
    renamed = {name.replace("classifier.1.", "classifier.0."): array for name, array in arrays.items()}
    assert renamed.keys() != arrays.keys()
    assert equal(opened(renamed).state(), state)


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("has_classifier", [True, False])
def test_names_that_leave_out_the_network_are_read(prefix: str, has_classifier: bool) -> None:
    """As EfficientNetModel of transformers writes them, which has no classifier."""
    network = NARROW if has_classifier else without_classifier(NARROW)
    state = lively_state(network)
    arrays = in_dialect("huggingface", network, state)
    short = {prefix + name.removeprefix("efficientnet."): array for name, array in arrays.items()}
    found = opened(short)
    assert found.dialect.name == "huggingface"
    assert equal(found.state(), state)
    with pytest.raises(CheckpointMismatch) as caught:
        opened(short | {f"{prefix}encoder.blocks.1.attention.weight": np.zeros(3, np.float32)})
    assert caught.value.unexpected == (f"{prefix}encoder.blocks.1.attention.weight",)


@pytest.mark.parametrize("canonical", NAMES)
def test_names(canonical: str) -> None:
    found = []
    for dialect in NAMED:
        entries = table(DIALECTS[dialect], resolve("b0"), scope="efficientnet-b0")
        found.append(next(entry.name for entry in entries if entry.parameter.name == canonical))
    assert tuple(found) == NAMES[canonical]


UNKNOWN = {
    # Families that a dialect has no networks of, or no names for their blocks.
    "efficientnet-pytorch": (Family.EDGETPU, Family.CONDCONV, Family.V2),
    "official-object": (Family.CONDCONV,),
    "torchvision": (Family.LITE, Family.EDGETPU, Family.CONDCONV),
    "huggingface": (Family.LITE, Family.EDGETPU, Family.CONDCONV, Family.V2),
    "deep-learning-for-image-processing": (Family.LITE, Family.EDGETPU, Family.CONDCONV, Family.V2),
    # Families that a dialect's project does not have.
    "keras-applications": (Family.LITE, Family.EDGETPU, Family.CONDCONV, Family.V2),
    "keras-applications-v2": (Family.V1, Family.LITE, Family.EDGETPU, Family.CONDCONV),
    "qubvel": (Family.LITE, Family.EDGETPU, Family.CONDCONV, Family.V2),
    "keras-order": (Family.LITE, Family.EDGETPU, Family.CONDCONV),
    "keras-hub": (Family.EDGETPU, Family.CONDCONV, Family.V2),
}
KNOWN = [
    (dialect, variant)
    for dialect in DIALECTS
    for variant, row in VARIANTS.items()
    if row.family not in UNKNOWN.get(dialect, ())
]


@pytest.mark.parametrize(("dialect", "family"), [(name, family) for name, row in UNKNOWN.items() for family in row])
def test_networks_without_names_are_refused(dialect: str, family: Family) -> None:
    variant = next(name for name, row in VARIANTS.items() if row.family is family)
    with pytest.raises(Unnamed, match=r"has no (names for blocks\.\d+\.|networks of the family)"):
        table(DIALECTS[dialect], resolve(variant), scope="")


@pytest.mark.parametrize(("dialect", "variant"), KNOWN)
def test_names_are_unique_and_recognised(dialect: str, variant: str) -> None:
    entries = table(DIALECTS[dialect], resolve(variant), scope="scope")
    names = [entry.name for entry in entries]
    assert len(names) == len(set(names))
    assert all(pattern(DIALECTS[dialect]).fullmatch(name) for name in names)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_axes_permute(dialect: str) -> None:
    row = DIALECTS[dialect]
    assert all(sorted(axes) == list(range(len(axes))) for axes in row.axes.values())


TWINS = {"timm-symmetric": "timm"}
"""Dialects whose names are those of another one, for which they are taken unless somebody says otherwise."""


@pytest.mark.parametrize(
    ("dialect", "family"),
    [(name, family) for name in DIALECTS for family in NETWORKS if family not in UNKNOWN.get(name, ())],
)
def test_a_state_survives_each_dialect_bit_for_bit(dialect: str, family: Family) -> None:
    network = NETWORKS[family]
    state = lively_state(network)
    checkpoint = opened(in_dialect(dialect, network, state))
    assert checkpoint.dialect.name == TWINS.get(dialect, dialect)
    own = DIALECTS[dialect].meaning(network.name, family)
    assert checkpoint.spec.blocks == (network if own is None else own.built(network)).blocks
    assert equal(checkpoint.state(), state)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model.backbone.", "encoder."])
@pytest.mark.parametrize("dialect", ["efficientnet-pytorch", "timm", "torchvision", "huggingface", "effnet-torch"])
def test_wrappers_and_enclosing_modules_are_seen_through(prefix: str, dialect: str) -> None:
    state = lively_state(NARROW)
    arrays = in_dialect(dialect, NARROW, state)
    wrapped = {prefix + name: array for name, array in arrays.items()}
    checkpoint = opened({"decoder.0.weight": np.zeros(3, np.float32)} | wrapped)
    assert equal(checkpoint.state(), state)
    assert any(f"begin with {prefix!r}" in note for note in checkpoint.notes)
    assert any("Left out 1 tensor, no part of the network: decoder.0.weight" in n for n in checkpoint.notes)


def test_of_two_networks_the_user_says_which() -> None:
    states = {prefix: lively_state(NARROW, seed=seed) for seed, prefix in enumerate(("student.", "teacher."))}
    arrays = {
        prefix + name: array
        for prefix, state in states.items()
        for name, array in in_dialect("timm", NARROW, state).items()
    }
    with pytest.raises(SeveralNetworks, match=r"'student\.', 'teacher\.'.*--prefix"):
        opened(arrays)
    for prefix, state in states.items():
        assert equal(opened(arrays, SourceOptions(prefix=prefix)).state(), state)


def behind(*prefixes: str, dialect: str = "timm") -> dict[str, np.ndarray]:
    arrays = in_dialect(dialect, NARROW, lively_state(NARROW))
    return {prefix + name: array for prefix in prefixes for name, array in arrays.items()}


@pytest.mark.parametrize(
    ("dialect", "prefixes", "said", "message"),
    [
        (
            "timm",
            ("student.", "teacher."),
            "teach",
            "found none. The names of its networks begin with 'student.', 'tea",
        ),
        (
            "timm",
            ("student.", "teacher."),
            "x.",
            "no name that does. .*'student.', 'teacher.': say which one is meant.",
        ),
        ("torchvision", ("", "teacher."), "x.", "begin with 'teacher.', or with nothing before them: say which one"),
        ("torchvision", ("module.",), "x.", "begin with 'module.': say that, or leave --prefix away"),
        ("official", ("",), "x/", "no name that does. The names of its network have nothing .*: leave --prefix away"),
        (
            "native",
            ("a.", "b.", "c.", "d.", "e."),
            "x.",
            "begin with 'a.', 'b.', 'c.', 'd.' and 1 more: say which one is meant",
        ),
    ],
)
def test_a_prefix_behind_which_no_network_stands(
    dialect: str, prefixes: tuple[str, ...], said: str, message: str
) -> None:
    arrays = behind(*prefixes, dialect=dialect)
    with pytest.raises(UnknownDialect, match=message) as caught:
        opened(arrays, SourceOptions(prefix=said))
    assert repr(said) in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_prefix_in_a_file_without_a_network_is_told_of_the_names() -> None:
    with pytest.raises(UnknownDialect, match="no known dialect has these names"):
        opened(resnet50(), SourceOptions(prefix="backbone."))
    arrays = behind("teacher.") | {f"teacher.head.{index}": np.zeros(3, np.float32) for index in range(20)}
    assert opened(arrays, SourceOptions(prefix="teacher.")).dialect.name == "timm"


@pytest.mark.parametrize(
    ("dialect", "said", "count"),
    [
        ("timm", "torchvision", 0),
        ("torchvision", "official", 0),
        ("native", "effnet-torch", 33),
        ("keras-hub", "qubvel", 229),
    ],
)
def test_names_of_another_dialect_than_the_one_that_is_named(dialect: str, said: str, count: int) -> None:
    arrays = behind("module.", dialect=dialect) if dialect == "timm" else behind("", dialect=dialect)
    expected = (
        rf"expected names of {said}, as --from .* found {count}, and {len(arrays)} of {dialect}\..* --from {dialect}"
    )
    with pytest.raises(UnknownDialect, match=expected) as caught:
        opened(arrays, SourceOptions(dialect=said))
    assert "architecture" not in str(caught.value)
    assert len(str(caught.value)) < 400
    for right in (None, dialect):
        assert opened(arrays, SourceOptions(dialect=right)).dialect.name == dialect


def test_an_architecture_that_shares_many_names_with_a_dialect_is_told_of_none() -> None:
    arrays = behind("")
    others = {name.replace(".weight", ".0.weight"): array for name, array in arrays.items() if ".conv_" in name}
    with pytest.raises(UnknownDialect, match="probably another architecture"):
        opened(arrays | others, SourceOptions(dialect="torchvision"))
    with pytest.raises(UnknownDialect, match=r"--from timm"):
        opened(arrays | dict(list(others.items())[:9]), SourceOptions(dialect="torchvision"))


def test_a_named_dialect_is_taken_where_another_one_has_more_names() -> None:
    arrays = behind("student.", dialect="torchvision") | behind("teacher.", "third.")
    assert opened(arrays, SourceOptions(dialect="torchvision")).dialect.name == "torchvision"
    assert opened(behind(""), SourceOptions(dialect="timm-symmetric")).dialect.name == "timm-symmetric"


def test_an_unknown_tensor_inside_a_block_is_a_mismatch() -> None:
    arrays = in_dialect("timm", NARROW, lively_state(NARROW))
    arrays["blocks.2.0.attention.weight"] = np.zeros(3, np.float32)
    with pytest.raises(CheckpointMismatch) as caught:
        opened(arrays)
    assert caught.value.unexpected == ("blocks.2.0.attention.weight",)


@pytest.mark.parametrize("dialect", [None, *DIALECTS])
def test_another_architecture_is_refused(dialect: str | None) -> None:
    with pytest.raises(UnknownDialect, match="and of no block: it is probably another architecture") as caught:
        opened(resnet50(), SourceOptions(dialect=dialect))
    assert "conv1.weight, bn1.weight" in str(caught.value)
    assert ("name the dialect" in str(caught.value)) is (dialect is None)
    assert len(str(caught.value)) < 1000


def test_a_layout_taken_for_another_changes_the_state() -> None:
    state = lively_state(NARROW)
    arrays = in_dialect("effnet-torch", NARROW, state)
    name = "blocks.1.squeeze_excite.expand.weight"
    arrays[name] = arrays[name].reshape(-1)[::-1].reshape(arrays[name].shape)
    assert not equal(opened(arrays).state(), state)
