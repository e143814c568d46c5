"""One network in this process, from files to rows: what the plain run and every worker of Ray do."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.backends import Runner, runner
from effnet.batch.agreement import Judge, judging, sides
from effnet.batch.ahead import Prepared, prepared
from effnet.batch.listing import Item
from effnet.batch.options import Plan
from effnet.batch.rows import Columns, Row, answer, columns, without_answer
from effnet.errors import InputError
from effnet.frameworks import import_frameworks
from effnet.guessing import not_finite
from effnet.images import load_image


class Worker(AbstractContextManager["Worker"]):
    """A network that is open. `numbers` says the class of every group of items, where images have classes.

    Raises what `effnet.backends.runner` raises.
    """

    def __init__(self, plan: Plan, numbers: Mapping[str, int] | None) -> None:
        self._plan, self._numbers = plan, numbers
        self.layout: Columns = columns(plan, has_truth=numbers is not None)
        self._stack = ExitStack()
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise

    def _open(self) -> None:
        plan = self._plan
        backends = [plan.backend] if plan.parity is None else [plan.backend, plan.parity]
        import_frameworks(backends)
        self._run: Runner = self._stack.enter_context(
            runner(
                plan.network,
                endpoints=["logits"],
                backend=plan.backend,
                precision=plan.precision,
                device=plan.device,
            )
        )
        self._judge: Judge | None = None
        if plan.explained is not None:
            a, b = sides(plan.network, backends)
            self._judge = self._stack.enter_context(judging(a, b, plan.device, explained=plan.explained))

    def rows(self, items: Iterable[Item]) -> Generator[Row]:
        """The rows of items in their order. Raises `MissingFramework` where images cannot be decoded at all."""
        plan = self._plan
        ahead = plan.batch + plan.threads
        with closing(prepared(items, self._prepare, threads=plan.threads, ahead=ahead)) as images:
            for group in _batches(images, plan.batch):
                yield from self._batch(group)

    def _prepare(self, item: Item) -> NDArray[np.float32]:
        return load_image(Path(item.path), self._plan.network.spec.preprocessing)

    def _batch(self, group: list[tuple[Item, Prepared]]) -> Iterator[Row]:
        images = [image for _, image in group if not isinstance(image, InputError)]
        answers = iter(())
        if images:
            batch = np.stack(images)
            logits = self._run(batch)["logits"]
            verdicts = [None] * len(images) if self._judge is None else self._judge.verdicts(logits, batch)
            answers = iter(list(zip(logits, images, verdicts, strict=True)))
        for item, image in group:
            truth = None if self._numbers is None or item.group is None else self._numbers[item.group]
            if isinstance(image, InputError):
                yield without_answer(self.layout, self._plan, item, truth=truth, error=str(image))
                continue
            found, given, verdict = next(answers)
            problem = not_finite(found, given)
            if problem is not None:
                yield without_answer(self.layout, self._plan, item, truth=truth, error=f"{item.name}: {problem}")
            else:
                yield answer(self.layout, self._plan, item, truth=truth, logits=found, verdict=verdict)

    def close(self) -> None:
        """Let go of the network."""
        self._stack.close()

    def __exit__(self, *_: Any) -> None:
        self.close()


def _batches(images: Iterable[tuple[Item, Prepared]], size: int) -> Iterator[list[tuple[Item, Prepared]]]:
    held: list[tuple[Item, Prepared]] = []
    for one in images:
        held.append(one)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held
