"""What the user is told when Ray cannot be used, without starting it."""

import socket

import pytest

from effnet import BatchOptions, predict_many
from effnet.batch.ray_engine import _reason
from effnet_core import InvalidOption
from tests.effnet.batch.pictures import NETWORK, save_pictures

TRACEBACK = """The actor died because of an error raised in its creation task, ray::MapWorker.__init__()
  File "x.py", line 1, in create_model
    raise CheckpointMismatch(
effnet_core.mismatch.CheckpointMismatch: The state does not fit.
Missing (1):
  classifier.bias
"""


def test_of_a_traceback_the_error_is_left():
    assert _reason(TRACEBACK) == (
        "effnet_core.mismatch.CheckpointMismatch: The state does not fit. Missing (1): classifier.bias"
    )
    assert _reason("first\nsecond\n") == "second"


def test_a_cluster_that_does_not_answer_is_named(tmp_path):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    save_pictures(tmp_path, 1)
    with socket.socket() as bound:  # and not listening: who connects is refused
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(InvalidOption, match=f"cannot be reached at {address}: .*refused"):
            predict_many(NETWORK, tmp_path, how=BatchOptions(backend="onnx", engine="ray", ray_address=address))
