"""Many images through a checkpoint: the functions behind `effnet predict FOLDER` and `effnet evaluate`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from converters import SourceOptions
from effnet.backends import Network
from effnet.batch.agreement import measure_rounding, sides
from effnet.batch.classes import match
from effnet.batch.finished import holds_run
from effnet.batch.identity import identity_of
from effnet.batch.journal import VERSION, Journal, has_parts
from effnet.batch.listing import Images, Listing, Table, Tree, survey
from effnet.batch.options import BatchOptions, Plan, make_plan
from effnet.batch.report import BatchReport
from effnet.batch.rows import Row, Value, columns
from effnet.batch.rows_of_run import Progress, Run
from effnet.batch.tables import table_format
from effnet.batch.tally import Tally
from effnet.choices import Engine
from effnet.files import check_no_input
from effnet.loading import load_network
from effnet.prediction import classifier_of
from effnet_core import InvalidOption

_USUAL = BatchOptions()


def predict_many(
    checkpoint: str | Path | Network,
    inputs: str | Path | Sequence[str | Path],
    *,
    options: SourceOptions | None = None,
    how: BatchOptions = _USUAL,
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    each: Callable[[Row], None] | None = None,
    progress: Progress | None = None,
) -> BatchReport:
    """Classify images and folders of images, of any number, in bounded memory.

    A table of one row for each image is written to `output` (`.csv` or `.parquet`): path, error, and the most probable
    classes with their probabilities. It appears whole at the end; until then what is done is kept in
    `OUTPUT.partial`, from where `resume` goes on. `each` is called with every row of this run as a dictionary.

    Raises `InputError` where there is no image, and for one that cannot be read where `how.strict` is set;
    `OutputError` for an output that cannot be written or is one of the files that are read; `InvalidOption` for
    `resume` without an output or with `overwrite`; what `BatchOptions`, `load_network` and `effnet.backends.runner`
    raise.
    """
    listing = Images(inputs)
    job = _Job(checkpoint, options, how, output, inputs=listing.files(), resume=resume, overwrite=overwrite)
    return job.run(listing, labelled=False, classes=None, each=each, progress=progress)


def evaluate(
    checkpoint: str | Path | Network,
    folder: str | Path,
    *,
    labels: str | Path | None = None,
    classes: str | Path | None = None,
    options: SourceOptions | None = None,
    how: BatchOptions = _USUAL,
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    each: Callable[[Row], None] | None = None,
    progress: Progress | None = None,
) -> BatchReport:
    """Top-1 and top-5 over images whose classes are known.

    `folder` holds one folder for each class, as ImageNet is kept; or `labels` is a CSV file with the columns path
    (from `folder` on) and class, whose rows are the images. What stands for which class of the network is said by
    `classes` (a file of one name a line in the order of the classes), else by the names themselves, as
    `effnet.batch.classes.match` tells. The table at `output` holds the true class and its rank too. Everything else,
    and what is raised, is as in `predict_many`.
    """
    listing = Tree(folder) if labels is None else Table(labels, root=folder)
    inputs = chain(listing.files(), [] if classes is None else [classes])
    job = _Job(checkpoint, options, how, output, inputs=inputs, resume=resume, overwrite=overwrite)
    return job.run(
        listing, labelled=True, classes=None if classes is None else Path(classes), each=each, progress=progress
    )


class _Job:
    """One call of either function."""

    def __init__(
        self,
        checkpoint: str | Path | Network,
        options: SourceOptions | None,
        how: BatchOptions,
        output: str | Path | None,
        *,
        inputs: Iterable[str | Path],
        resume: bool,
        overwrite: bool,
    ) -> None:
        if resume and overwrite:
            raise InvalidOption(
                "Both --resume (resume=True) and --force (overwrite=True) are given; expected one. The first goes on "
                "with what is done, the second begins again."
            )
        self._output = None if output is None else Path(output)
        if self._output is not None:
            table_format(self._output)
            check_no_input(self._output, inputs if isinstance(checkpoint, Network) else chain([checkpoint], inputs))
        elif resume:
            raise InvalidOption("There is no output to resume. Name the one of the interrupted run (--out).")
        self._engine = Engine(how.engine)
        network = checkpoint if isinstance(checkpoint, Network) else load_network(checkpoint, options=options)
        self._how, self._resume, self._overwrite = how, resume, overwrite
        self._plan = make_plan(network, how)

    def run(
        self,
        listing: Listing,
        *,
        labelled: bool,
        classes: Path | None,
        each: Callable[[Row], None] | None,
        progress: Progress | None,
    ) -> BatchReport:
        plan, notes = self._plan, list(self._plan.network.notes)
        numbers: Mapping[str, int] | None = None
        if labelled:
            found = match(listing.groups(), classifier_of(plan.network), file=classes)
            numbers = found.numbers
            notes.append(found.rule)
        surveyed = survey(listing)
        notes += [] if surveyed.left_out is None else [surveyed.left_out]
        plan, same_function = _with_rounding(plan)
        run = Run(
            plan=plan,
            how=self._how,
            engine=self._engine,
            numbers=numbers,
            layout=columns(plan, has_truth=labelled),
            listing=listing,
            count=surveyed.count if self._how.limit is None else min(self._how.limit, surveyed.count),
            all_images=surveyed.count,
            each=each,
            progress=progress,
        )
        began = time.monotonic()
        tally, taken_over, is_finished = Tally(), 0, False
        if self._output is None:
            run.stream(tally)
        else:
            identity = identity_of(plan, self._how, surveyed, numbers)
            is_finished = self._is_finished(self._output, identity)
            if is_finished:
                taken_over = run.over(self._output, tally)
            else:
                with Journal(self._output, identity, resume=self._resume, overwrite=self._overwrite) as journal:
                    taken_over = run.into(journal, tally)
        return BatchReport(
            network=plan.network,
            backend=plan.backend,
            images=tally.images,
            broken=tally.broken,
            examples=tuple(tally.examples),
            top1=tally.accuracy(1) if labelled else None,
            top5=tally.accuracy(5) if labelled and plan.num_classes > 5 else None,
            parity=None
            if plan.parity is None
            else tally.agreement(plan.backend, plan.parity, same_function=same_function),
            notes=tuple(notes),
            output=self._output,
            taken_over=taken_over,
            was_finished=is_finished,
            seconds=time.monotonic() - began,
        )

    def _is_finished(self, output: Path, identity: Mapping[str, Value]) -> bool:
        """Whether a run that is to be resumed has ended already."""
        return self._resume and not has_parts(output) and holds_run(output, {"version": VERSION, **identity})


def _with_rounding(plan: Plan) -> tuple[Plan, bool]:
    """The plan with how far rounding parts its two backends, and whether they are the same function on random input."""
    if plan.parity is None:
        return plan, True
    a, b = sides(plan.network, [plan.backend, plan.parity])
    found = measure_rounding(a, b, plan.device)
    return replace(plan, explained=found.explained32), found.agrees
