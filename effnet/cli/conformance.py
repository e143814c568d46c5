"""`effnet conformance`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from effnet.cli.output import say, say_json, say_table

if TYPE_CHECKING:
    from effnet.conformance import Case, Result

WRONG = 1
_COLUMNS = ("network", "output", "error", "allowed", "")


def conformance(
    folder: Annotated[Path, typer.Argument(metavar="SET", help="The folder of a conformance set.")],
    outputs: Annotated[
        Path | None,
        typer.Argument(
            metavar="[OUTPUTS]", help="A folder of NETWORK.npz, logits by size as 65x49; else list the set."
        ),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Judge the logits of any library by those of the official code.

    A conformance set, which tools/conformance_set.py writes, holds narrow networks of every family with weights in
    every naming, inputs, and what the official TensorFlow code computes from them in float64. Known mistakes, such as
    symmetric padding, are named where they give the same numbers. docs/conformance.md shows how to use it in the tests
    of a library.

    Exit code 1 when an output is wrong.

    \b
    Examples:
      effnet conformance effnet-conformance
      effnet conformance effnet-conformance outputs-of-my-library
    """
    from effnet.conformance import check_folder, open_set

    cases = open_set(folder)
    if outputs is None:
        _list(cases, as_json=as_json)
        return
    judged = list(check_folder(cases, outputs))
    results = [result for _, found in judged for result in found or ()]
    absent = [
        name for case, found in judged for name in ([case.name] if found is None else _sizes_not_given(case, found))
    ]
    right = sum(result.right for result in results)
    if as_json:
        say_json({"right": right == len(results), "not_given": absent, "results": results})
    else:
        say_table(_COLUMNS, [_row(result) for result in results])
        say(f"{right} of {len(results)} outputs are right." + (f" Not given: {', '.join(absent)}." if absent else ""))
    if right < len(results):
        raise typer.Exit(WRONG)


def _sizes_not_given(case: "Case", found: "tuple[Result, ...]") -> list[str]:
    given = {result.output.partition("/")[0] for result in found}
    return [f"{case.name} at {size}" for size in case.inputs if size not in given]


def _list(cases: "tuple[Case, ...]", *, as_json: bool) -> None:
    if as_json:
        say_json(cases)
        return
    rows = [
        (case.name, weights.dialect, str(weights.path), f"known: {weights.mistake}" if weights.mistake else "")
        for case in cases
        for weights in case.weights
    ]
    say_table(("network", "names", "weights", "its own network"), rows)


def _row(result: "Result") -> tuple[str, ...]:
    wrong = f"wrong: as with {result.mistake}" if result.mistake else "wrong"
    remark = "right" if result.right else wrong
    return (result.case, result.output, f"{result.error:.1e}", f"{result.allowed:.1e}", remark)
