"""The border to TensorFlow, which has no type information: what lies behind it is `Any`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

tf: Any = import_module("tensorflow")
