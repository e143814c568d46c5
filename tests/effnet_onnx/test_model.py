"""What stands in a written model, what is refused, and that no framework is loaded."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from converters import fold, save_state
from effnet_core import CheckpointMismatch, InvalidOption, UnknownEndpoint, from_json, resolve
from effnet_onnx import Layout, TooLarge, create_model
from effnet_onnx import model as model_module
from tests.heads import narrow, short
from tests.lively import images, lively_state

SPEC = narrow("condconv-b0-4e")
STATE = lively_state(SPEC)


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def test_definition_labels_and_layout_travel_with_it() -> None:
    labels = [f"class {index}" for index in range(SPEC.classifier.num_classes)]
    model = create_model(SPEC, STATE, labels=labels, layout="channels_first")
    found = metadata(model)
    assert from_json(found["effnet.spec"]) == SPEC
    assert json.loads(found["effnet.labels"]) == labels
    assert found["effnet.layout"] == Layout.CHANNELS_FIRST
    assert "effnet.labels" not in metadata(create_model(SPEC, STATE))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert model.ir_version == 8
    dims = [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["batch", 3, "height", "width"]


def test_nodes_and_tensors_have_canonical_names() -> None:
    model = create_model(short(), lively_state(short()))
    tensors = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    assert set(tensors) == set(lively_state(short()))
    height, width, inputs, outputs = lively_state(short())["stem.conv.kernel"].shape
    assert tensors["stem.conv.kernel"] == (outputs, inputs, height, width)
    assert [node.name for node in model.graph.node][1] == "stem.conv"
    folded = create_model(*fold(short(), lively_state(short())))
    assert not any(node.op_type == "BatchNormalization" for node in folded.graph.node)
    assert len(folded.graph.node) < len(model.graph.node)


def test_what_outputs_do_not_need_is_left_out() -> None:
    whole, part = create_model(SPEC, STATE), create_model(SPEC, STATE, endpoints=["blocks.1"])
    assert len(part.graph.node) < len(whole.graph.node) / 2
    assert not any(tensor.name.startswith(("blocks.2", "head", "class")) for tensor in part.graph.initializer)


def test_the_checker_looks_at_what_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "OPSET", 13)  # whose Shape and Split take fewer attributes
    with pytest.raises(onnx.checker.ValidationError, match="Unrecognized attribute"):
        create_model(SPEC, STATE)


def test_bad_input_is_refused() -> None:
    with pytest.raises(CheckpointMismatch, match=r"stem\.norm\.gamma"):
        create_model(SPEC, {name: array for name, array in STATE.items() if name != "stem.norm.gamma"})
    with pytest.raises(InvalidOption, match="labels; expected 5"):
        create_model(SPEC, STATE, labels=["one"])
    with pytest.raises(InvalidOption, match="float32, float64"):
        create_model(SPEC, STATE, dtype="float16")
    with pytest.raises(InvalidOption, match="channels_last, channels_first"):
        create_model(SPEC, STATE, layout="NHWC")
    with pytest.raises(InvalidOption, match=r"\(height, width\) in pixels"):
        create_model(SPEC, STATE, input_size=(0, 3))
    with pytest.raises(UnknownEndpoint):
        create_model(SPEC, STATE, endpoints=["blocks.99"])


def test_weights_that_no_file_holds_are_refused_before_anything_is_written() -> None:
    spec = resolve("l2")
    nothing = np.zeros(1, np.float32)
    from effnet_core import parameters  # noqa: PLC0415  # of this test alone

    # Views of one number: the weights of L2 would take 1.9 GB.
    state = {item.name: np.broadcast_to(nothing, item.shape) for item in parameters(spec)}
    with pytest.raises(TooLarge, match=r"3\.\d+ GB in float64; expected at most 2\.13 GB.* or write float32"):
        create_model(spec, state, dtype="float64")


def test_predicting_loads_no_framework(tmp_path: Path) -> None:
    spec = replace(resolve("b0", width=0.13, depth=0.3), name="efficientnet-b0")
    save_state(tmp_path / "narrow.ckpt", spec, lively_state(spec), to="official", to_format="tensor-bundle")
    np.save(tmp_path / "x.npy", images(2, 64, 96))
    code = f"""
import sys, effnet
found = effnet.predict({str(tmp_path / "narrow.ckpt")!r}, {str(tmp_path / "x.npy")!r}, backend="onnx", top=1)
assert found.logits.shape == (2, 1000)
print(*sorted({{name.partition(".")[0] for name in sys.modules}} & {{"tensorflow", "keras", "torch", "onnxruntime"}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("onnxruntime\n", "")


def test_without_onnxruntime_the_extra_is_named() -> None:
    code = (
        "import sys\nfrom importlib.machinery import PathFinder\nfind = PathFinder.find_spec\n"
        "PathFinder.find_spec = lambda name, *rest: None if name == 'onnxruntime' else find(name, *rest)\n"
        "from effnet.frameworks import import_frameworks\nfrom effnet.errors import MissingFramework\n"
        "try:\n    import_frameworks(['onnx'])\nexcept MissingFramework as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install -c constraints.txt -e '.[onnx]'" in done.stdout
