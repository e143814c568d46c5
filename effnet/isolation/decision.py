"""Whether two networks run in this process or each in one of its own: decided from facts, with the reason.

Loading triton into a process that holds TensorFlow already ends in a segmentation fault, and torch.compile,
torch.optim, torchvision and timm load it: seen with tensorflow 2.21 and triton 3.8, which every CUDA build of PyTorch
brings. The other order works, so that a process that holds neither yet is safe.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from effnet.choices import Backend, Isolation
from effnet_core import InvalidOption


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the decision depends on, found out without importing a framework."""

    holds_tensorflow: bool
    """This process has imported TensorFlow."""
    has_triton: bool
    """Triton can be imported beside PyTorch."""
    holds_triton: bool
    """This process has imported triton."""
    tensorflow_has_cuda: bool
    """The TensorFlow that is installed is a CUDA build."""
    torch_has_cuda: bool


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One process each, or this process for both."""

    separate: bool
    reason: str
    """A sentence."""


def decide(
    isolation: Isolation, backends: Iterable[Backend], facts: Facts, *, has_other_python: bool = False
) -> Decision:
    """Where the networks of these backends run.

    `has_other_python`: one of them is to run under another Python. Raises `InvalidOption` where that contradicts
    `isolation`.
    """
    wanted = set(backends)
    if isolation is Isolation.NEVER:
        if has_other_python:
            raise InvalidOption(
                "Another Python is named, and isolation is 'never': a process has one Python. Choose isolation 'auto', "
                "or name no other Python."
            )
        return Decision(separate=False, reason="Isolation 'never' was asked for.")
    if has_other_python:
        return Decision(separate=True, reason="Another Python was asked for.")
    if isolation is Isolation.ALWAYS:
        return Decision(separate=True, reason="Isolation 'always' was asked for.")
    crash = known_crash(wanted, facts)
    if crash is not None:
        return Decision(separate=True, reason=crash)
    if wanted >= {Backend.TF, Backend.TORCH} and facts.tensorflow_has_cuda and facts.torch_has_cuda:
        return Decision(
            separate=True,
            reason="TensorFlow and PyTorch are both CUDA builds, each with CUDA libraries of its own.",
        )
    return Decision(separate=False, reason="Nothing that is known to crash is here.")


def known_crash(backends: Iterable[Backend], facts: Facts) -> str | None:
    """Why these backends crash in this process, a sentence; None where nothing of the kind is known."""
    if Backend.TORCH in set(backends) and facts.holds_tensorflow and facts.has_triton and not facts.holds_triton:
        return "TensorFlow was imported before PyTorch, whose triton crashes when it is loaded after it."
    return None


def facts() -> Facts:
    """The facts about this process and its environment."""
    loaded = sys.modules
    tensorflow = _constants("tensorflow", "python/platform/build_info.py").get("build_info", {})
    return Facts(
        holds_tensorflow="tensorflow" in loaded,
        has_triton=find_spec("torch") is not None and find_spec("triton") is not None,
        holds_triton="triton" in loaded,
        tensorflow_has_cuda=bool(tensorflow.get("is_cuda_build")),
        torch_has_cuda=bool(_constants("torch", "version.py").get("cuda")),
    )


def _constants(package: str, file: str) -> dict[str, Any]:
    """What a generated file of an installed package says about its build; empty where there is none.

    Both frameworks have such a file: a few assignments that import the standard library alone.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / file
        if path.is_file():
            return runpy.run_path(str(path))
    return {}
