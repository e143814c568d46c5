"""Both frameworks over the same batches, and what must turn them apart."""

import json
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from effnet import BatchOptions, predict_many
from effnet.backends import runner
from effnet.batch.agreement import Side, judging, measure_rounding
from effnet.choices import Backend, Device, Precision
from tests.effnet.batch.pictures import NETWORK, SPEC, save_pictures
from tests.lively import images

CPU = Device.CPU
TORCH = Side(network=NETWORK, backend=Backend.TORCH)
TF = Side(network=NETWORK, backend=Backend.TF)


@pytest.fixture(scope="module")
def batch():
    return images(3, 67, 67)


@pytest.fixture(scope="module")
def explained():
    found = measure_rounding(TORCH, TF, CPU)
    assert found.agrees
    return found.explained32


def verdicts(second, batch, explained):
    with ExitStack() as stack:
        run = stack.enter_context(
            runner(NETWORK, endpoints=["logits"], backend=Backend.TORCH, precision=Precision.FLOAT32, device=CPU)
        )
        judge = stack.enter_context(judging(TORCH, second, CPU, explained=explained))
        logits = run(batch)["logits"]
        return logits, judge.verdicts(logits, batch)


def test_both_frameworks_agree_on_every_image(batch, explained):
    logits, found = verdicts(TF, batch, explained)
    assert [verdict.agrees for verdict in found] == [True] * 3
    assert [verdict.other_class for verdict in found] == list(logits.argmax(axis=1))
    assert max(verdict.relative for verdict in found) < 1e-5


def test_what_random_input_does_not_explain_may_be_explained_by_the_image_itself(batch):
    # No distance at all is allowed: every image is run again in float64, and its own rounding explains it.
    assert [verdict.agrees for verdict in verdicts(TF, batch, 0.0)[1]] == [True] * 3


def test_another_epsilon_is_a_difference(batch):
    norm = SPEC.norm
    other = replace(NETWORK, spec=replace(SPEC, norm=replace(norm, epsilon=norm.epsilon * 1.001)))
    second = Side(network=other, backend=Backend.TF)
    assert not measure_rounding(TORCH, second, CPU).agrees
    _, found = verdicts(second, batch, 0.0)
    assert [verdict.agrees for verdict in found] == [False] * 3


def test_logits_that_are_no_numbers_never_agree(batch, explained):
    state = dict(NETWORK.state)
    state["classifier.bias"] = np.full_like(state["classifier.bias"], np.nan)
    second = Side(network=replace(NETWORK, state=state), backend=Backend.TF)
    [first, *_] = verdicts(second, batch, explained)[1]
    assert (first.other_class, first.difference, first.agrees) == (None, None, False)


@pytest.mark.parametrize("second", ["tf", "onnx"])
def test_a_whole_folder_in_both(tmp_path, second):
    if second == "onnx":
        pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    save_pictures(tmp_path / "pictures", 5)
    rows = []
    how = BatchOptions(backend="torch", parity=second, batch=2, threads=2)
    report = predict_many(NETWORK, tmp_path / "pictures", how=how, output=tmp_path / "x.csv", each=rows.append)
    assert report.parity.agrees
    assert (report.parity.images, report.parity.other_top1, report.parity.beyond) == (5, 0, 0)
    assert report.parity.largest == max(row["relative_difference"] for row in rows) > 0
    assert json.dumps(report.parity.mean) == json.dumps(sum(row["relative_difference"] for row in rows) / 5)
    assert {row["agrees"] for row in rows} == {True}
