"""Networks that were cut off: feature extractors that keep the first layers of a published one, and nothing behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from converters.networks.candidates import Candidates
from effnet_core import NetworkSpec, parameters


class CutOff(NamedTuple):
    """The first layers of a published network."""

    whole: NetworkSpec
    """The network before it was cut."""
    tensors: int
    """How many are left of those of `whole`."""

    @property
    def spec(self) -> NetworkSpec | None:
        """What is left as a network of its own; None where it ends inside a block, or before the first ends."""
        left, rest = parameters(self.whole)[: self.tensors], parameters(self.whole)[self.tensors :]
        last = left[-1].block
        if last is None or any(parameter.block == last for parameter in rest):
            return None
        return replace(self.whole, blocks=self.whole.blocks[: last + 1], head=None, classifier=None)

    @property
    def note(self) -> str:
        """The sentence that says what was found."""
        whole, left = len(self.whole.blocks), 0 if self.spec is None else len(self.spec.blocks)
        return f"The file holds the first {left} of the {whole} blocks of {self.whole.name}; the network ends there."

    @property
    def reason(self) -> str:
        """Why a network that ends inside a block is not taken, and what to do."""
        every = parameters(self.whole)
        return (
            f"The file holds the first {self.tensors} of {len(every)} tensors of {self.whole.name}, up to "
            f"{every[self.tensors - 1].name}, and none behind: it seems to be a feature extractor that ends inside a "
            "block, or a file that was not saved to its end. Convert the file of the whole network, and take the layer "
            "from the result (create_model(..., endpoints=[...])); or cut it after a block, such as at its `add` layer."
        )

    @property
    def half_averages(self) -> str:
        """Why moving averages of these layers alone are not taken, and what to do."""
        every = parameters(self.whole)
        return (
            f"The file holds moving averages alone, of the first {self.tensors} of {len(every)} tensors of "
            f"{self.whole.name}, up to {every[self.tensors - 1].name}, and none of the others: a part of a checkpoint. "
            "Convert the whole one. If the network really ends there, give its definition with --spec FILE.json "
            "(SourceOptions(spec=...))."
        )


def cut_off(candidates: Candidates, names: Sequence[str]) -> CutOff | None:
    """The first of these variants of whose tensors the file holds the first ones, in their shapes, and no others."""
    for name in names:
        whole = candidates.build(name, width=None, depth=None)
        count = candidates.leading(whole)
        if count is not None and parameters(whole)[count - 1].block is not None:
            return CutOff(whole=whole, tensors=count)
    return None
