import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("module", ["padding", "resolving", "rounding"])
def test_the_examples_in_docstrings_hold(module: str) -> None:
    result = doctest.testmod(import_module(f"effnet_core.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
