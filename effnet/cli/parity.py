"""`effnet parity`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import effnet
from effnet.choices import Backend, Device, Isolation
from effnet.cli.fetch import fetch_source
from effnet.cli.output import say, say_json, say_table
from effnet.cli.sources import SourcePair, with_source_flags

if TYPE_CHECKING:
    from effnet.backends import Network
    from effnet.parity_engine.exact import ExactReport
    from effnet.parity_engine.run import ParityReport
    from effnet.parity_engine.training import TrainingReport

DIFFERENT = 1


@with_source_flags
def parity(
    context: typer.Context,
    a: Annotated[Path, typer.Argument(metavar="A", help="A checkpoint of any format, or official:NAME.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one; the same again compares the two frameworks.")],
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="INPUT", help="Images, or one .npy of normalised NHWC input; else random numbers."),
    ] = None,
    *,
    a_backend: Annotated[Backend | None, typer.Option(help="What runs A.")] = None,
    b_backend: Annotated[Backend | None, typer.Option(help="What runs B.")] = None,
    size: Annotated[int, typer.Option(min=1, metavar="PIXELS", help="Height and width of the random input.")] = 64,
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="Images of random input.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random input.")] = 0,
    device: Annotated[Device, typer.Option(help="Where to compute; on cuda without TF32.")] = Device.CPU,
    isolate: Annotated[
        Isolation, typer.Option(help="Each network in a process of its own; auto: where one process is known to crash.")
    ] = Isolation.AUTO,
    a_python: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Python of the environment that runs A, in its own process.")
    ] = None,
    b_python: Annotated[Path | None, typer.Option(metavar="PATH", help="The same for B.")] = None,
    time_limit: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Time for each network that runs in its own process.")
    ] = 1800,
    sources: SourcePair,
    train: Annotated[
        int | None, typer.Option(min=1, metavar="STEPS", help="Train both for so many steps and compare after each.")
    ] = None,
    training_recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Recipe of --train: v1, v2, v2-21k, v2-21k-ft1k; else the family's."),
    ] = None,
    float64_limit: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="X", help="Allowed difference in float64, relative to the largest value; --train: 1e-9."
        ),
    ] = None,
    float32_limit: Annotated[
        float | None, typer.Option(min=0, metavar="X", help="The same in float32; both otherwise follow from rounding.")
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Exact arithmetic: not one bit may differ.")] = False,
    training: Annotated[bool, typer.Option(help="With --exact: run a batch of training too.")] = True,
    grid_bits: Annotated[
        int, typer.Option(min=1, max=30, metavar="N", help="With --exact: layers' results are multiples of 2^-N.")
    ] = 12,
    every_layer: Annotated[bool, typer.Option("--all", help="Show every layer, the parts of blocks too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    report_path: Annotated[
        Path | None,
        typer.Option("--report", metavar="PATH", help="Write a report too: a page (.html) or a document (.json)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a report that exists.")] = False,
) -> None:
    """Run two checkpoints on the same input and say where they part.

    Every intermediate result is compared in float64, which tells a difference of meaning from rounding, and in
    float32. At the first layer that differs, the usual causes are tried out and what explains it is named: padding,
    epsilon, activation, moving averages, input normalisation.

    A TensorFlow checkpoint and a .keras file run in TensorFlow, a .pth in PyTorch, anything else as A in TensorFlow and
    as B in PyTorch. Options about the checkpoints are for both; those with --a- or --b- are for one of them and
    prevail.

    With --exact, weights and results are rounded to few bits, so that every sum is exact in float64 and no order of
    summation matters: two correct implementations then agree in every bit of every layer, in evaluation and in a batch
    of training, and any difference is one of meaning. The weights themselves are compared bit for bit too.

    With --train, both make the same steps of the training recipe on the same batch, with the same dropout masks; loss,
    gradients, moving statistics, weights and moving averages are compared, and known mistakes tried on what differs.

    Exit code 1 when a layer differs by more than 16 times what rounding explains, or a limit that is named; with
    --exact, when a bit differs.

    \b
    Examples:
      effnet parity efficientnet-b0/model.ckpt b0.pth
      effnet parity b0.safetensors b0.safetensors cat.jpg
      effnet parity b0.safetensors b0.safetensors --exact
      effnet parity b0.keras b0.pth --report b0.html
      effnet parity model.ckpt-1234 b0.pth --a-ema never --size 65 --json
      effnet parity b0.pth b0.pth --a-backend tf --train 10 --batch 8
      effnet parity b0.keras b0.pth --b-python ~/torch/bin/python
    """
    from effnet.parity_engine import report
    from effnet.parity_engine.compare import Limits
    from effnet.parity_engine.grid import Grid
    from effnet.parity_engine.pair import Processes

    _check_training(train, training_recipe, exact=exact)
    limits = Limits(float64=float64_limit, float32=float32_limit)
    if report_path is not None:
        from effnet.reporting.write import check_report

        check_report(report_path, overwrite=force)
    for checkpoint in (a, b):
        fetch_source(checkpoint)
    given = inputs or effnet.RandomInput(images=batch, size=size, seed=seed)
    networks = effnet.load_network(a, options=sources.a.options()), effnet.load_network(b, options=sources.b.options())
    processes = Processes(isolation=isolate, a_python=a_python, b_python=b_python, time_limit=time_limit)
    if train is not None:
        trained = effnet.training_parity(
            *networks,
            steps=train,
            recipe=training_recipe,
            a_backend=a_backend,
            b_backend=b_backend,
            inputs=given,
            device=device,
            limit=1e-9 if float64_limit is None else float64_limit,
            processes=processes,
        )
        _write(trained, report_path, networks, context, force=force)
        _say_training(trained, as_json=as_json)
        _say_report(report_path, as_json=as_json)
        raise typer.Exit(0 if trained.agrees else DIFFERENT)
    if exact:
        result = effnet.exact_parity(
            *networks,
            a_backend=a_backend,
            b_backend=b_backend,
            inputs=given,
            device=device,
            training=training,
            seed=seed,
            grid=Grid(activations=grid_bits),
            processes=processes,
        )
        _write(result, report_path, networks, context, force=force)
        _say_exact(result, every_layer=every_layer, as_json=as_json)
        _say_report(report_path, as_json=as_json)
        raise typer.Exit(0 if result.agrees else DIFFERENT)
    found = effnet.parity(
        *networks,
        a_backend=a_backend,
        b_backend=b_backend,
        inputs=given,
        device=device,
        limits=limits,
        isolation=isolate,
        a_python=a_python,
        b_python=b_python,
        time_limit=time_limit,
        keep_outputs=report_path is not None,
    )
    _write(found, report_path, networks, context, force=force)
    if as_json:
        say_json(report.document(found))
    else:
        _tables(found, every_layer=every_layer)
    _say_report(report_path, as_json=as_json)
    if not found.agrees:
        raise typer.Exit(DIFFERENT)


def _write(
    found: "ParityReport | ExactReport | TrainingReport",
    path: Path | None,
    networks: "tuple[Network, Network]",
    context: typer.Context,
    *,
    force: bool,
) -> None:
    if path is not None:
        from effnet.cli.repeat import command_line

        line = command_line(context, leave_out=("as_json", "every_layer", "report_path", "force"))
        effnet.write_report(found, path, networks=networks, command=line, overwrite=force)


def _say_report(path: Path | None, *, as_json: bool) -> None:
    if path is not None and not as_json:
        say(f"Report: {path}")


def _tables(found: "ParityReport", *, every_layer: bool) -> None:
    from effnet.parity_engine import report

    for line in report.heading(found):
        say(line)
    say_table(report.COLUMNS, report.rows(found.comparison, every_layer=every_layer))
    for line in report.verdict(found.comparison):
        say(line)
    if found.diagnosis is not None:
        say(f"Around {found.diagnosis.layer}:")
        say_table(report.TENSOR_COLUMNS, report.tensor_rows(found.diagnosis))
        for line in report.explanations(found.diagnosis):
            say(line)


def _say_exact(found: "ExactReport", *, every_layer: bool, as_json: bool) -> None:
    from effnet.parity_engine import exact_report

    if as_json:
        say_json(exact_report.document(found))
        return
    for line in exact_report.heading(found):
        say(line)
    say_table(exact_report.COLUMNS, exact_report.rows(found, every_layer=every_layer))
    tensors = exact_report.tensor_rows(found)
    if tensors:
        say_table(exact_report.TENSOR_COLUMNS, tensors)
    for line in exact_report.verdict(found):
        say(line)


def _say_training(found: "TrainingReport", *, as_json: bool) -> None:
    from effnet.parity_engine import training_report

    if as_json:
        say_json(training_report.document(found))
        return
    for line in training_report.heading(found):
        say(line)
    say_table(training_report.COLUMNS, training_report.rows(found))
    for line in training_report.verdict(found):
        say(line)


def _check_training(train: int | None, training_recipe: str | None, *, exact: bool) -> None:
    """Raise `InvalidOption` for options that do not go together."""
    from effnet_core import InvalidOption

    if train is not None and exact:
        raise InvalidOption(
            "--train compares training steps, and --exact one batch of training in exact arithmetic; found both. Leave "
            "one out."
        )
    if train is None and training_recipe is not None:
        raise InvalidOption("--training-recipe says how to train, and --train is missing; expected --train STEPS too.")
