"""The logits of timm 1.0.31: its tf_ models and those that pad symmetrically, both ways."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import effnet
from converters import SourceOptions
from tests.compared import TIMM, TIMM_SYMMETRIC
from tests.foreign.comparison import (
    check_back,
    check_controls,
    check_every_variant,
    check_names,
    check_there,
    too_far,
)
from tests.foreign.judge import DTYPES, ENVIRONMENT, ROOT, Judge, Network, judging, narrow

TF = SourceOptions(dialect="timm")
SYMMETRIC = SourceOptions(dialect="timm-symmetric")
V2_SCALE = {"width": 0.5, "depth": 0.25}
"""At which timm's rounding of channels and the official one agree."""

NARROW = {
    "tf_efficientnet_b0": TF,
    "tf_efficientnet_lite0": TF,
    "tf_efficientnet_es": TF,
    "tf_efficientnet_cc_b0_4e": TF,
    "tf_efficientnetv2_b0": TF,
    "tf_efficientnetv2_s": TF,
    "efficientnet_b0": SYMMETRIC,
    "efficientnet_lite0": SYMMETRIC,
    "efficientnet_es": SYMMETRIC,
    "efficientnetv2_s": SYMMETRIC,
}
PUBLISHED = {
    **{name: (variant, "timm") for name, variant in TIMM.items()},
    **{name: (variant, "timm-symmetric") for name, variant in TIMM_SYMMETRIC.items()},
}
FULL = {
    **dict.fromkeys(
        (
            "tf_efficientnet_b0",
            "tf_efficientnet_lite0",
            "tf_efficientnet_es",
            "tf_efficientnet_cc_b0_4e",
            "tf_efficientnetv2_b0",
        ),
        (TF, 224),
    ),
    "efficientnet_b0": (SYMMETRIC, 224),
    "efficientnetv2_s": (SYMMETRIC, 384),
}
V2_B = {f"efficientnetv2-b{number}" for number in range(4)}
"""timm has them with tf_ alone."""


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with judging("timm", tmp_path_factory.mktemp("timm")) as judge:
        yield judge


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes(name: str, judge: Judge) -> None:
    variant, dialect = PUBLISHED[name]
    check_names(judge.shapes(Network(name=name, classes=1000)), variant, dialect=dialect)


@pytest.mark.parametrize(("dialect", "without"), [("timm", set()), ("timm-symmetric", V2_B)])
def test_every_variant_is_compared(dialect: str, without: set[str]) -> None:
    compared = [variant for variant, known in PUBLISHED.values() if known == dialect]
    check_every_variant(compared, dialect=dialect, without=without)


@pytest.mark.parametrize("name", NARROW)
def test_narrow(name: str, judge: Judge, tmp_path: Path) -> None:
    made = judge.make(narrow(name, **(V2_SCALE if name.endswith("v2_s") else {})))
    network = check_there(made, "safetensors", NARROW[name])
    check_controls(network, made)
    check_back(judge, made, network, tmp_path / "ours.pth", to=str(NARROW[name].dialect))


@pytest.mark.parametrize("name", FULL)
def test_native_size(name: str, judge: Judge, tmp_path: Path) -> None:
    """CondConv also in float64, where TensorFlow compares: sigmoids that mix kernels spread float32's rounding more."""
    options, side = FULL[name]
    dtypes = DTYPES if "_cc_" in name else ("float32",)
    made = judge.make(Network(name=name, classes=1000), sizes=[(side, side)], dtypes=dtypes)
    network = check_there(made, "pth", options)
    check_controls(network, made)
    check_back(judge, made, network, tmp_path / "ours.safetensors", to=str(options.dialect))


@pytest.mark.parametrize("name", ["tf_efficientnet_b0", "efficientnet_es"])
def test_folders_tell_timm_what_they_hold(name: str, judge: Judge, tmp_path: Path) -> None:
    """The control: the same weights under the name of timm's other kind, which pads otherwise."""
    made = judge.make(Network(name=name, classes=5), sizes=[(65, 49)], dtypes=("float64",))
    dialect = NARROW[name].dialect
    folder = tmp_path / "folder"
    effnet.convert(made.files["pth"], folder, options=NARROW[name], to=dialect, to_format="hf-folder")
    assert not too_far(judge.logits(folder, like=made), made.logits)
    config = folder / "config.json"
    other = name.removeprefix("tf_") if name.startswith("tf_") else f"tf_{name}"
    config.write_text(config.read_text().replace(name, other))
    assert too_far(judge.logits(folder, like=made), made.logits, factor=1e6)


CONFIGURATIONS = """
import csv, sys
import timm
from timm.models import get_pretrained_cfg
rows = csv.writer(sys.stdout, lineterminator="\\n")
rows.writerow(["name", "resolution", "crop_pct", "crop_mode", "interpolation", "mean", "std"])
for name in timm.list_models("tf_efficientnet*", pretrained=True):
    one = get_pretrained_cfg(name)
    side, share = (one.test_input_size or one.input_size)[-1], one.test_crop_pct or one.crop_pct
    numbers = [" ".join(map(str, values)) for values in (one.mean, one.std)]
    rows.writerow([name, side, share, one.crop_mode, one.interpolation, *numbers])
"""


def test_the_table_of_published_weights_is_that_of_timm(judge: Judge) -> None:
    """`tests/converters/dialects/test_timm_weights.py` compares with the table what names of weights are taken for."""
    assert judge.name == "timm"
    command = [str(ENVIRONMENT / "bin" / "python"), "-c", CONFIGURATIONS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    table = (ROOT / "tests" / "data" / "timm_tf_names.csv").read_text()
    assert done.stdout == table
    assert done.stdout != table.replace("0.5", "0.4", 1)  # the control: the whole text is compared
