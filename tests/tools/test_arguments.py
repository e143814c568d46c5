"""What the programs in `tools` do with arguments."""

from pathlib import Path

import pytest

TOOLS = sorted((Path(__file__).resolve().parents[2] / "tools").glob("*.py"))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda path: path.name)
def test_every_tool_knows_its_arguments(tool: Path) -> None:
    """So that --help shows them, and starts nothing that takes minutes or writes a page."""
    assert "ArgumentParser(" in tool.read_text("utf-8")
