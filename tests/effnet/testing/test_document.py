"""The example of docs/testing.md does what the document says."""

import re
from pathlib import Path

import pytest

from effnet.testing import ParityError

TEXT = (Path(__file__).parents[3] / "docs" / "testing.md").read_text("utf-8")


def example():
    code = next(block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "def test_" in block)
    names = {}
    exec(compile(code, "docs/testing.md", "exec"), names)
    return names


def test_the_example_passes_and_fails_where_the_document_says():
    names = example()
    names["test_the_port_computes_the_same"]()

    def spoilt(original, port, **options):
        port[0].bias.data += 0.1
        return names["as_written"](original, port, **options)

    names["as_written"] = names["assert_parity"]
    names["assert_parity"] = spoilt
    with pytest.raises(ParityError) as caught:
        names["test_the_port_computes_the_same"]()
    failure = str(caught.value).splitlines()
    shown = TEXT.split("ParityError: ")[1].split("```")[0].splitlines()
    wordy = [line for line in shown if not re.search(r"e-\d\d|^A ", line)]
    assert [line for line in wordy if line not in failure] == []
    assert [line.split()[0] for line in shown if "differs" in line] == [
        line.split()[0] for line in failure if line.endswith("differs")
    ]
