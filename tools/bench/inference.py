"""What `tools/bench_inference.py` times, in which process, and beside what."""

from __future__ import annotations

from dataclasses import dataclass

TORCH, FOREIGN, ONEDNN, EIGEN, ONNX = "torch", "torch of the peers", "tf oneDNN", "tf without oneDNN", "onnxruntime"


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """A process: the module of its contenders, whether it is the peers' Python, and what its environment says."""

    module: str
    is_foreign: bool = False
    environment: tuple[tuple[str, str], ...] = ()


RUNTIMES = {
    TORCH: Runtime(module="inference_torch"),
    FOREIGN: Runtime(module="inference_torch", is_foreign=True),
    ONEDNN: Runtime(module="inference_tf", environment=(("TF_ENABLE_ONEDNN_OPTS", "1"),)),
    EIGEN: Runtime(module="inference_tf", environment=(("TF_ENABLE_ONEDNN_OPTS", "0"),)),
    ONNX: Runtime(module="inference_onnx"),
}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A way to run the network: its name in the runtime's module, and of a peer our contender of the same kind."""

    runtime: str
    name: str
    beside: str | None = None
    has_other_weights: bool = False
    """True where a peer cannot take the network's: it pads or prepares images otherwise."""

    @property
    def is_peer(self) -> bool:
        """Whether others wrote the network or its file."""
        return self.beside is not None or self.has_other_weights

    @property
    def label(self) -> str:
        """As the table names it."""
        return f"{self.runtime}: {self.name}"


def _tensorflow(runtime: str) -> tuple[Contender, ...]:
    calls = [
        contender
        for call in ("tf.function", "predict_on_batch")
        for contender in (
            Contender(runtime=runtime, name=f"keras, {call}"),
            Contender(
                runtime=runtime,
                name=f"keras.applications, {call}",
                beside=f"keras, {call}",
                has_other_weights=True,
            ),
        )
    ]
    files = (Contender(runtime=runtime, name=name) for name in ("SavedModel", "SavedModel, folded"))
    return (*calls, *files)


CONTENDERS = (
    Contender(runtime=TORCH, name="plain"),
    Contender(runtime=TORCH, name="folded"),
    Contender(runtime=TORCH, name="channels_last"),
    Contender(runtime=TORCH, name="folded, channels_last"),
    Contender(runtime=TORCH, name="compiled"),
    Contender(runtime=TORCH, name="folded, compiled"),
    Contender(runtime=FOREIGN, name="plain"),
    Contender(runtime=FOREIGN, name="timm tf_", beside="plain"),
    Contender(runtime=FOREIGN, name="torchvision", has_other_weights=True),
    Contender(runtime=FOREIGN, name="channels_last"),
    Contender(runtime=FOREIGN, name="timm tf_, channels_last", beside="channels_last"),
    Contender(runtime=FOREIGN, name="torchvision, channels_last", has_other_weights=True),
    Contender(runtime=FOREIGN, name="compiled"),
    Contender(runtime=FOREIGN, name="timm tf_, compiled", beside="compiled"),
    *_tensorflow(ONEDNN),
    *_tensorflow(EIGEN),
    Contender(runtime=ONNX, name="plain"),
    Contender(runtime=ONNX, name="folded"),
    Contender(runtime=ONNX, name="tf2onnx of the SavedModel", beside="plain"),
)
"""In the order of the rounds."""
