"""Runs a network of the oracle in Keras on the backend that the environment names; a process of its own for each.

    KERAS_BACKEND=jax python -m tests.parity_between.keras_backend FOLDER OUT.npz

Writes `logits`, and `swapped`: the logits after two vectors of one normalisation changed places.
"""

from __future__ import annotations

import sys

import numpy as np

from effnet_tf import create_model, load_state
from effnet_tf._keras import keras
from tests import oracle

SIZE = "65x49"
SWAPPED = ("blocks.0.project.norm.mean", "blocks.0.project.norm.beta")


def main(folder: str, out: str) -> None:
    given = oracle.load(folder, ema=True)
    model = create_model(given.spec, given.state)
    logits = model.predict_on_batch(given.inputs[SIZE])
    a, b = SWAPPED
    load_state(model, given.spec, {**given.state, a: given.state[b], b: given.state[a]})
    swapped = model.predict_on_batch(given.inputs[SIZE])
    np.savez(out, backend=keras.backend.backend(), logits=logits, swapped=swapped)


if __name__ == "__main__":
    main(*sys.argv[1:])
