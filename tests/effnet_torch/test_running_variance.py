"""The running variance that torch and the one that Keras gathers; everything else of a training step is the same."""

import copy

import numpy as np
import pytest
import torch

from effnet_core import InvalidOption
from effnet_torch import RunningVariance, create_model, read_state
from tests.effnet_torch.helpers import apart, calibrated_state, narrow, nchw, run
from tests.heads import short, with_hidden
from tests.lively import images, lively_state

X = images(3, 32, 48)


def trained(spec, state, kind, device="cpu"):
    """A model after one pass in training mode, and the gradient of its stem."""
    options = {"drop_connect_rate": 0.0, "dropout_rate": 0.0, "device": device}
    model = create_model(spec, state, running_variance=kind, dtype="float64", **options).train()
    torch.manual_seed(1)  # the same dropout in hidden layers
    model(nchw(X).double().to(device)).square().sum().backward()
    return model, model.stem.conv.weight.grad.cpu().numpy()


@pytest.mark.parametrize("kind", RunningVariance)
def test_the_stem_follows_the_variance_that_was_chosen(device, kind):
    spec = narrow()
    state = {name: array.astype(np.float64) for name, array in calibrated_state(spec).items()}
    model, _ = trained(spec, state, kind, device)
    twin = create_model(spec, state, dtype="float64").eval()
    with torch.no_grad():
        values = twin.stem.conv(nchw(X).double()).permute(1, 0, 2, 3).flatten(1).numpy()
    found = read_state(model, spec)
    batch = values.var(axis=1, ddof=0 if kind is RunningVariance.BIASED else 1)
    assert apart(found["stem.norm.variance"], 0.99 * state["stem.norm.variance"] + 0.01 * batch) < 1e-13
    assert apart(found["stem.norm.mean"], 0.99 * state["stem.norm.mean"] + 0.01 * values.mean(axis=1)) < 1e-12
    assert all(norm.num_batches_tracked == 1 for norm in model.modules() if hasattr(norm, "num_batches_tracked"))


def test_only_the_variances_differ():
    spec = with_hidden(short())  # a normalisation of (N, C) among the hidden layers
    results = [trained(spec, lively_state(spec), kind) for kind in RunningVariance]
    assert apart(results[0][1], results[1][1]) < 1e-13
    states = [read_state(model, spec) for model, _ in results]
    differing = {name for name in states[0] if apart(states[0][name], states[1][name]) > 1e-13}
    assert differing == {name for name in states[0] if name.endswith(".variance")}
    assert "hidden.1.variance" in differing
    assert list(results[0][0].state_dict()) == list(results[1][0].state_dict())


def test_inference_frozen_norms_and_copies_are_as_usual():
    spec = narrow()
    usual = create_model(spec, calibrated_state(spec)).eval()
    biased = create_model(spec, calibrated_state(spec), running_variance="biased").eval()
    assert np.array_equal(run(biased, X), run(usual, X))
    frozen = create_model(spec, norm_mode="frozen", running_variance="biased").train()
    assert not frozen.stem.norm.training
    assert type(copy.deepcopy(biased).stem.norm) is type(biased.stem.norm) is not type(usual.stem.norm)


def test_a_variance_that_does_not_exist_is_refused():
    with pytest.raises(InvalidOption, match="unbiased, biased"):
        create_model(narrow(), running_variance="sample")
