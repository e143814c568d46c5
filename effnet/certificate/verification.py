"""Repeat what a certificate says, and say what is the same and what differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from converters.errors import UnreadableFile
from effnet.cache import cache_folder
from effnet.certificate.agreement import (
    Check,
    Outcome,
    of_all_files,
    of_environment,
    of_equality,
    of_files,
    of_outputs,
    of_shapes,
)
from effnet.certificate.certify import (
    LIMIT_FLOAT64,
    Side,
    Work,
    compared,
    random_numbers,
    read_side,
    read_source_side,
)
from effnet.certificate.consistency import of_consistency
from effnet.certificate.measuring import array_digest
from effnet.certificate.schema import ENDING, Certificate, CertifiedNetwork, certificate_path, read_certificate
from effnet.environment import environment
from effnet.errors import InvalidCertificate
from effnet.frameworks import check_installed
from effnet.official_prefix import OFFICIAL
from effnet.parity_engine.forward import run
from effnet.parity_engine.run import RandomInput
from effnet.sources import Source, find_source
from effnet_core import EffnetError
from effnet_core.checkpoints import find_checkpoint


@dataclass(frozen=True, kw_only=True)
class Verification:
    """A certificate, repeated."""

    path: Path
    """Of the certificate."""
    certificate: Certificate
    checks: tuple[Check, ...]

    @property
    def agrees(self) -> bool:
        """Whether nothing differs, and source and result agreed."""
        return not any(check.outcome is Outcome.DIFFERENT for check in self.checks)


def verify(path: str | Path, *, source: str | Path | None = None) -> Verification:
    """Repeat a certificate: digests, the run of the result, and that of the source where it is still there.

    `path` is the certificate or the converted file (or prefix, or folder) beside it. The source is looked for where it
    was; `source` names another place, or `official:NAME`, which is fetched; without it a fetched source is taken from
    the cache, and not downloaded.

    Raises `InvalidCertificate` for a certificate that is missing, damaged or of another version, `UnreadableFile` where
    the converted file, or a source that was named, is missing, and `MissingFramework`.
    """
    where = find_certificate(Path(path))
    certificate = read_certificate(where)
    target = where.parent / str(certificate.result.path)
    if not all((where.parent / file.path).exists() for file in certificate.result.files):
        missing = next(file.path for file in certificate.result.files if not (where.parent / file.path).exists())
        raise UnreadableFile(
            f"{where} is about {target}, and {where.parent / missing} does not exist. Expected it where it was, seen "
            "from the certificate; put them together again."
        )
    check_installed((certificate.result.backend,))
    return Verification(
        path=where, certificate=certificate, checks=tuple(_checks(certificate, where.parent, target, source))
    )


def find_certificate(path: Path) -> Path:
    """The certificate that is named, or that of the file that is named. Raises `InvalidCertificate`."""
    if path.name.endswith(ENDING):
        return path
    beside = certificate_path(path)
    if beside.exists():
        return beside
    if path.is_file() and path.suffix == ".json":
        return path
    if not path.exists() and not path.with_name(f"{path.name}.index").exists():
        raise InvalidCertificate(
            f"{path} does not exist, and no certificate {beside} either. Expected a file that `effnet convert SOURCE "
            f"{path} --verify` wrote, or its certificate."
        )
    raise InvalidCertificate(
        f"There is no certificate {beside} of {path}. Expected one, as `effnet convert SOURCE {path} --verify` writes "
        "it."
    )


def _checks(certificate: Certificate, folder: Path, target: Path, source: str | Path | None) -> Iterator[Check]:
    yield _own_verdict(certificate)
    yield of_consistency(certificate)
    yield from of_files("result", certificate.result.files, folder)
    result = _read(target, certificate)
    if isinstance(result, Check):
        yield result
        return
    yield from of_all_files("result", certificate.result.files, result.files, folder)
    yield from _what_it_is("result", certificate.result, result)
    given = _given(certificate)
    numbers = random_numbers(given, result.network)
    expected = certificate.input
    yield of_equality("input", _input(expected.shape, expected.sha256), _input(numbers.shape, array_digest(numbers)))
    found = _of_adaptation(certificate, result) or _source(certificate, folder, source)
    if isinstance(found, Check):
        yield found
        outputs = run(
            result.network,
            numbers,
            backend=certificate.result.backend,
            device=certificate.device,
        )
        yield of_outputs("result", certificate.result, outputs, limit=LIMIT_FLOAT64)
    else:
        yield from _with_source(certificate, folder, found, result, named=source is not None)
    yield from of_environment(certificate.environment, environment())


def _with_source(
    certificate: Certificate, folder: Path, source: Source, result: Side, *, named: bool
) -> Iterator[Check]:
    work = Work(
        source=source,
        target=folder / str(certificate.result.path),
        adaptation=certificate.adaptation,
        dtype=certificate.rounded_to,
        notes=(),
    )
    in_place = certificate.source.path is not None and source.path == folder / certificate.source.path
    if in_place:
        yield from of_files("source", certificate.source.files, folder)
    try:
        side = read_source_side(work)
    except EffnetError as error:
        if named:
            raise
        yield Check(subject="source", outcome=Outcome.DIFFERENT, detail=f"cannot be read any more: {error}")
        return
    if in_place:
        yield from of_all_files("source", certificate.source.files, side.files, folder)
    yield from _what_it_is("source", certificate.source, side)
    chosen = (certificate.source.backend, certificate.result.backend)
    found = compared(side, result, chosen, _given(certificate))
    if found.outputs is not None:
        pairs = (("source", certificate.source), ("result", certificate.result))
        for (name, recorded), outputs in zip(pairs, found.outputs, strict=True):
            yield of_outputs(name, recorded, outputs, limit=LIMIT_FLOAT64)
    yield of_shapes(certificate.layers, found.comparison.layers)
    yield of_equality(
        "layers that differ",
        _listed(layer.name for layer in certificate.layers if not layer.agrees),
        _listed(layer.name for layer in found.comparison.layers if not layer.agrees),
    )
    yield of_equality("same largest logit", certificate.same_argmax, found.comparison.same_argmax)


def _what_it_is(name: str, recorded: CertifiedNetwork, found: Side) -> Iterator[Check]:
    before, now = (recorded.format, recorded.dialect), (found.network.format, found.dialect)
    yield of_equality(f"{name} format and names", *(", ".join(map(str, pair)) for pair in (before, now)))
    yield of_equality(f"{name} weights", recorded.weights, found.weights)


def _of_adaptation(certificate: Certificate, result: Side) -> Check | None:
    """What is wrong with the changes that a certificate names; looked at before the source is changed so."""
    spec, changes = result.network.spec, certificate.adaptation
    classes = None if spec.classifier is None else spec.classifier.num_classes
    pairs = {"num_classes": (changes.num_classes, classes), "in_channels": (changes.in_channels, spec.stem.in_channels)}
    wrong = [
        f"{name} {wanted}, and the result has {has}"
        for name, (wanted, has) in pairs.items()
        if wanted not in (None, has)
    ]
    if not wrong:
        return None
    detail = f"{'; '.join(wrong)}. The source was not run"
    return Check(subject="adaptation", outcome=Outcome.DIFFERENT, detail=detail)


def _own_verdict(certificate: Certificate) -> Check:
    if certificate.agrees:
        detail = "source and result agreed when the certificate was written"
        return Check(subject="verdict", outcome=Outcome.SAME, detail=detail)
    detail = f"source and result differed when the certificate was written: {' '.join(certificate.verdict)}"
    return Check(subject="verdict", outcome=Outcome.DIFFERENT, detail=detail)


def _read(target: Path, certificate: Certificate) -> Side | Check:
    try:
        return read_side(target, certificate.result.options, name=str(target))
    except EffnetError as error:
        return Check(subject="result", outcome=Outcome.DIFFERENT, detail=f"cannot be read any more: {error}")


def _source(certificate: Certificate, folder: Path, named: str | Path | None) -> Source | Check:
    """The source, or why it is not looked at."""
    options = certificate.source.options
    if named is not None:
        return find_source(named, options)
    if certificate.source.path is None:
        name = certificate.source.name
        if (cache_folder() / find_checkpoint(name.removeprefix(OFFICIAL)).file_name).is_file():
            return find_source(name, options)
        return _absent(f"{name} is not in the cache; --source {name} fetches it")
    path = folder / certificate.source.path
    beside = path.with_name(path.name + ".index")  # a prefix, which is no file itself
    if not (path.exists() or beside.exists()) or not all(
        (folder / file.path).exists() for file in certificate.source.files
    ):
        return _absent(f"{path} is not there any more; --source names another place")
    return Source(name=certificate.source.name, path=path, options=options)


def _absent(why: str) -> Check:
    detail = f"{why}. The result was held against what it gave."
    return Check(subject="source", outcome=Outcome.NOT_CHECKED, detail=detail)


def _given(certificate: Certificate) -> RandomInput:
    images, size, *_ = (*certificate.input.shape, 0, 0)
    return RandomInput(images=images, size=size, seed=certificate.input.seed)


def _input(shape: tuple[int, ...], digest: str) -> str:
    return f"{' x '.join(map(str, shape))} numbers, SHA-256 {digest}"


def _listed(names: Iterator[str]) -> str:
    return ", ".join(names) or "none"
