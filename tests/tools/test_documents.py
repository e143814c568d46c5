"""What the documents point to exists."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import typer

from effnet.cli.app import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md"))]
COMMANDS = typer.main.get_command(app).list_commands(None)
_COMMAND = re.compile(rf"effnet ({'|'.join(COMMANDS)})\b((?:\\\n|[^`#\n])*)")
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def broken(text: str, folder: Path) -> list[str]:
    """Links to files or headings that do not exist, and links named FILE::TEST whose file has no such test."""
    found: list[str] = []
    for label, target in _LINK.findall(text):
        if target.startswith("https://"):
            continue
        place, _, anchor = target.partition("#")
        file = folder / place
        if not file.exists() or (anchor and anchor not in anchors(file.read_text("utf-8") if place else text)):
            found.append(target)
        elif "::" in label:
            name, test = label.split("::")
            if file.name != name or f"def {test}(" not in file.read_text("utf-8"):
                found.append(label)
    return found


def anchors(text: str) -> set[str]:
    """What leads to the headings of a document: their words in small letters with hyphens between."""
    headings = _HEADING.findall(_FENCED.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    assert broken(document.read_text("utf-8"), document.parent) == []


@pytest.mark.parametrize(
    "text",
    [
        "[the list](docs/no_such_file.md)",
        "[test_documents.py::test_that_is_not_there](tests/tools/test_documents.py)",
        "[test_setup.py::test_links_lead_somewhere](tests/tools/test_documents.py)",
        "[a heading](docs/preprocessing.md#no-such-heading)",
        "# A heading\n[another one](#no-such-heading)",
        "```sh\n# a comment\n```\n[the comment](#a-comment)",
    ],
)
def test_a_broken_link_is_seen(text: str) -> None:
    assert broken(text, ROOT) != []


def test_a_heading_is_found() -> None:
    assert broken("# A `heading`, of (some) words\n[it](#a-heading-of-some-words) [a file](docs/ports.md)", ROOT) == []
    assert broken("[it](docs/preprocessing.md#known-difference-from-the-official-code)", ROOT) == []


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


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_that_does_not_exist_is_seen(command: str) -> None:
    expected = [f"{command} --no-such-option"]
    assert unknown_options(f"effnet {command} a.pth --no-such-option") == expected
    assert unknown_options(f"effnet {command} a.pth \\\n  --no-such-option") == expected
    assert unknown_options(f"effnet {command} --help") == []
