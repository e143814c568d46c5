"""Parity for other people's tests: `assert_parity` for any two models, and a pytest plugin (`plugin.py`).

Names are imported when they are first used: the plugin is loaded by every pytest of an environment.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from effnet.parity_engine.compare import Limits
    from effnet.testing.elsewhere import Elsewhere
    from effnet.testing.parity import assert_parity
    from effnet.testing.result import ParityError, ParityResult

__all__ = ["Elsewhere", "Limits", "ParityError", "ParityResult", "assert_parity"]

_MODULES = {
    "Elsewhere": "effnet.testing.elsewhere",
    "Limits": "effnet.parity_engine.compare",
    "ParityError": "effnet.testing.result",
    "ParityResult": "effnet.testing.result",
    "assert_parity": "effnet.testing.parity",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
