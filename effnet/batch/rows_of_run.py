"""One run that is settled: its parts through an engine, into a journal or only into sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from effnet.batch.finished import record_of
from effnet.batch.journal import Journal
from effnet.batch.listing import Listing, chosen, parts
from effnet.batch.local_engine import Done, run_here
from effnet.batch.options import USUAL_WORKERS, BatchOptions, Plan
from effnet.batch.ray_engine import run_by_ray
from effnet.batch.rows import Columns, Row, Value, named, values
from effnet.batch.tables import read_table, table_format, write_table
from effnet.batch.tally import Tally
from effnet.choices import Engine
from effnet.errors import InputError

Progress = Callable[[int, int], None]
"""Called with the images done and the images in all."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that is settled, and the rows that come of it."""

    plan: Plan
    how: BatchOptions
    engine: Engine
    numbers: Mapping[str, int] | None
    layout: Columns
    listing: Listing
    count: int
    all_images: int
    each: Callable[[Row], None] | None
    progress: Progress | None

    def stream(self, tally: Tally) -> None:
        """Add all rows up and keep none."""
        with closing(self._parts(frozenset(), 0)) as found:
            for _, rows in found:
                for row in rows:
                    tally.add(row)
        self._check_whole(tally)

    def into(self, journal: Journal, tally: Tally) -> int:
        """Keep what is new, then write the table; gives the images that were there already."""
        there = journal.done()
        before = sum(1 for _ in journal.rows())
        with closing(self._parts(there, before)) as found:
            for number, rows in found:
                journal.save(number, [values(self.layout, row) for row in rows])

        def kept() -> Iterator[list[Value]]:
            for row in journal.rows():
                tally.add(named(self.layout, row))
                yield row
            self._check_whole(tally)

        network = self.plan.network
        record = record_of(journal.identity, checkpoint=network.name, network=network.spec.name)
        journal.finish(lambda path: write_table(path, journal.kind, self.layout, kept(), about=record), record=record)
        return before

    def over(self, target: Path, tally: Tally) -> int:
        """Only add up the rows of a table that holds them all; gives their number."""
        for row in read_table(target, table_format(target), self.layout):
            tally.add(named(self.layout, row))
        self._check_whole(tally)
        return tally.images

    def _parts(self, there: frozenset[int], before: int) -> Done:
        items = chosen(self.listing, count=self.all_images, limit=self.how.limit)
        pending = ((number, part) for number, part in parts(items, self.plan.part) if number not in there)
        seen = _Seen(done=before, count=self.count, strict=self.how.strict, each=self.each, progress=self.progress)
        match self.engine:
            case Engine.LOCAL:
                return run_here(self.plan, self.numbers, pending, seen=seen)
            case Engine.RAY:
                how = self.how
                return run_by_ray(
                    self.plan,
                    self.numbers,
                    pending,
                    seen=seen,
                    workers=how.workers or USUAL_WORKERS,
                    address=how.ray_address,
                )

    def _check_whole(self, tally: Tally) -> None:
        if tally.images != self.count:
            raise InputError(
                f"{self.count} images were listed, and {tally.images} were there when they were read: the folder "
                "changed meanwhile. Run it again when nothing writes there."
            )


class _Seen:
    """Called with every row as it comes."""

    def __init__(
        self,
        *,
        done: int,
        count: int,
        strict: bool,
        each: Callable[[Row], None] | None,
        progress: Progress | None,
    ) -> None:
        self._done, self._count, self._strict = done, count, strict
        self._each, self._progress = each, progress
        if progress is not None:
            progress(done, count)

    def __call__(self, row: Row) -> None:
        if self._strict and row["error"] is not None:
            raise InputError(f"{row['error']} The run is strict, and stops here.")
        self._done += 1
        if self._each is not None:
            self._each(row)
        if self._progress is not None:
            self._progress(self._done, self._count)
