"""EfficientNet for TensorFlow and PyTorch: convert, inspect, run and compare checkpoints.

Every command of `effnet` is a function here. They are imported when they are first used, so that importing this
package, and converting a file, loads neither TensorFlow nor PyTorch. Where a checkpoint is asked for,
`official:b0-noisy-student` and the like are fetched first.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converters import Adaptation, Ema, SourceOptions
    from effnet.backends import Network
    from effnet.batch.options import BatchOptions
    from effnet.batch.run import evaluate, predict_many
    from effnet.catalogue import list_checkpoints, list_variants
    from effnet.certificate.schema import read_certificate
    from effnet.certificate.verification import verify
    from effnet.comparison import diff
    from effnet.conversion import convert
    from effnet.digests import digest
    from effnet.exports.options import ExportOptions
    from effnet.exports.run import export
    from effnet.fetching import fetch
    from effnet.folding import folding_agreement
    from effnet.information import info
    from effnet.inspection import inspect
    from effnet.loading import load_model, load_network
    from effnet.parity_engine.exact import exact_parity
    from effnet.parity_engine.pair import Processes
    from effnet.parity_engine.run import RandomInput, parity
    from effnet.parity_engine.trainee import Trainee
    from effnet.parity_engine.training import training_parity
    from effnet.prediction import predict
    from effnet.reporting.write import write_report
    from effnet_core import EffnetError

__version__ = "0.1.0"
__all__ = [
    "Adaptation",
    "BatchOptions",
    "EffnetError",
    "Ema",
    "ExportOptions",
    "Network",
    "Processes",
    "RandomInput",
    "SourceOptions",
    "Trainee",
    "__version__",
    "convert",
    "diff",
    "digest",
    "evaluate",
    "exact_parity",
    "export",
    "fetch",
    "folding_agreement",
    "info",
    "inspect",
    "list_checkpoints",
    "list_variants",
    "load_model",
    "load_network",
    "parity",
    "predict",
    "predict_many",
    "read_certificate",
    "training_parity",
    "verify",
    "write_report",
]

_MODULES = {
    "Adaptation": "converters",
    "BatchOptions": "effnet.batch.options",
    "EffnetError": "effnet_core",
    "Ema": "converters",
    "ExportOptions": "effnet.exports.options",
    "Network": "effnet.backends",
    "Processes": "effnet.parity_engine.pair",
    "RandomInput": "effnet.parity_engine.run",
    "SourceOptions": "converters",
    "Trainee": "effnet.parity_engine.trainee",
    "convert": "effnet.conversion",
    "diff": "effnet.comparison",
    "digest": "effnet.digests",
    "evaluate": "effnet.batch.run",
    "exact_parity": "effnet.parity_engine.exact",
    "export": "effnet.exports.run",
    "fetch": "effnet.fetching",
    "folding_agreement": "effnet.folding",
    "info": "effnet.information",
    "inspect": "effnet.inspection",
    "list_checkpoints": "effnet.catalogue",
    "list_variants": "effnet.catalogue",
    "load_model": "effnet.loading",
    "load_network": "effnet.loading",
    "parity": "effnet.parity_engine.run",
    "training_parity": "effnet.parity_engine.training",
    "predict": "effnet.prediction",
    "predict_many": "effnet.batch.run",
    "read_certificate": "effnet.certificate.schema",
    "verify": "effnet.certificate.verification",
    "write_report": "effnet.reporting.write",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Name what can be imported, and not yet is."""
    return sorted({*globals(), *_MODULES})
