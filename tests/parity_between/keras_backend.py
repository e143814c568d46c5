"""Runs a network of the oracle in Keras on the backend that the environment names; a process of its own for each.

    KERAS_BACKEND=jax python -m tests.parity_between.keras_backend FOLDER OUT.npz

Writes `logits`, and `swapped`: the logits after two vectors of one normalisation changed places; on PyTorch,
for `COMPARED`, also `compared` and `parted`: how many results of the network `assert_parity` finds to be the same as
those of the one in PyTorch, and where it finds the swapped one to part.
"""

from __future__ import annotations

import sys
from importlib import import_module

import numpy as np

from effnet.testing import ParityError, assert_parity
from effnet_tf import create_model, load_state
from effnet_tf._keras import keras
from tests import oracle

SIZE = "65x49"
COMPARED = "efficientnet-b0"
"""One network is enough for `assert_parity`."""
SWAPPED = ("blocks.0.project.norm.mean", "blocks.0.project.norm.beta")


def main(folder: str, out: str) -> None:
    given = oracle.load(folder, ema=True)
    model = create_model(given.spec, given.state)
    logits = model.predict_on_batch(given.inputs[SIZE])
    compared = 0
    if keras.backend.backend() == "torch" and folder == COMPARED:
        other = import_module("effnet_torch").create_model(given.spec, given.state)
        options = {"inputs": given.inputs[SIZE], "precision": "float32"}
        compared = len(assert_parity(model, other, **options).comparison.layers)
    a, b = SWAPPED
    load_state(model, given.spec, {**given.state, a: given.state[b], b: given.state[a]})
    swapped = model.predict_on_batch(given.inputs[SIZE])
    parted = ""
    if compared:
        try:
            assert_parity(model, other, **options)
        except ParityError as error:
            parted = str(error.result.comparison.first_difference)
    np.savez(out, backend=keras.backend.backend(), logits=logits, swapped=swapped, compared=compared, parted=parted)


if __name__ == "__main__":
    main(*sys.argv[1:])
