"""The contenders that TensorFlow runs: our Keras model and SavedModels, and keras.applications."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from inference_task import Contender, Images, Run, Skipped, Task

from effnet_core import from_json
from effnet_tf import create_model


def start(task: Task) -> None:
    """Of the process."""
    tf.config.threading.set_intra_op_parallelism_threads(task.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _ours(task: Task) -> Any:
    with np.load(task.folder / "plain.npz") as stored:
        state = dict(stored)
    return create_model(from_json((task.folder / "plain.json").read_text()), state)


def _applications(task: Task) -> Any:
    """With random weights of its own, without its softmax; its scaling of the pixels is part of it."""
    name = task.network.replace("efficientnet", "EfficientNet").replace("v2", "V2")
    stem, _, letters = name.partition("-")
    build = getattr(keras.applications, stem + letters.upper(), None)
    if build is None:
        raise Skipped(f"keras.applications has no {stem + letters.upper()}")
    return build(weights=None, classifier_activation=None)


def _function(build: Callable[[Task], Any], task: Task) -> Contender:
    model = build(task)
    function = tf.function(lambda images: model(images, training=False))
    return partial(_called, function)


def _called(function: Any, images: Images) -> Run:
    batch = tf.constant(images)
    return lambda: function(batch).numpy()


def _predict(build: Callable[[Task], Any], task: Task) -> Contender:
    model = build(task)

    def prepare(images: Images) -> Run:
        return lambda: model.predict_on_batch(images)

    return prepare


def _saved(name: str, task: Task) -> Contender:
    """The signature `serving_default`, which gives the probabilities too."""
    loaded = tf.saved_model.load(str(task.folder / f"{name}-savedmodel"))
    signature = loaded.signatures["serving_default"]

    def prepare(images: Images) -> Run:
        batch = tf.constant(images)
        keep = loaded  # the signature does not hold its variables

        def run() -> Any:
            assert keep is not None
            return signature(images=batch)["logits"].numpy()

        return run

    return prepare


CONTENDERS: dict[str, Callable[[Task], Contender]] = {
    "keras, tf.function": partial(_function, _ours),
    "keras, predict_on_batch": partial(_predict, _ours),
    "keras.applications, tf.function": partial(_function, _applications),
    "keras.applications, predict_on_batch": partial(_predict, _applications),
    "SavedModel": partial(_saved, "plain"),
    "SavedModel, folded": partial(_saved, "folded"),
}
