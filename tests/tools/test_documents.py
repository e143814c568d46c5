"""What the documents point to exists."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md"))]
_COMMAND = re.compile(r"effnet (convert|inspect|info|list|predict|evaluate|serve|parity|verify)\b([^`#\n]*)")
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def broken(text: str, folder: Path) -> list[str]:
    """Links to files that do not exist, and links named FILE::TEST whose file has no such test."""
    found: list[str] = []
    for label, target in _LINK.findall(text):
        if target.startswith(("https://", "#")):
            continue
        file = folder / target.split("#")[0]
        if not file.exists():
            found.append(target)
        elif "::" in label:
            name, test = label.split("::")
            if file.name != name or f"def {test}(" not in file.read_text("utf-8"):
                found.append(label)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    assert broken(document.read_text("utf-8"), document.parent) == []


@pytest.mark.parametrize(
    "text",
    [
        "[the list](docs/no_such_file.md)",
        "[test_documents.py::test_that_is_not_there](tests/tools/test_documents.py)",
        "[test_setup.py::test_links_lead_somewhere](tests/tools/test_documents.py)",
    ],
)
def test_a_broken_link_is_seen(text: str) -> None:
    assert broken(text, ROOT) != []


def test_every_known_difference_is_pinned() -> None:
    lines = (ROOT / "docs" / "differences.md").read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| what")]
    assert len(rows) >= 8
    assert [row for row in rows if "::test_" not in row] == []


def unknown_options(text: str) -> list[str]:
    """Options of `effnet` commands that the command does not have."""
    return [
        f"{command} {word}"
        for command, words in _COMMAND.findall(text)
        for word in words.split()
        if word.startswith("--") and word not in help_of(command)
    ]


@cache
def help_of(command: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-m", "effnet", command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(re.findall(r"--[a-z0-9-]+", done.stdout))


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "tools" / "demo.py"], ids=lambda path: path.name)
def test_commands_have_the_options_that_are_shown(document: Path) -> None:
    assert unknown_options(document.read_text("utf-8")) == []


def test_an_option_that_does_not_exist_is_seen() -> None:
    assert unknown_options("effnet convert a.pth b.safetensors --no-such-option") == ["convert --no-such-option"]
