"""The files of a bundle being written, which take their names in an order that leaves no valid-looking half."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from converters.errors import OutputError
from converters.formats._bundle.files import DATA_SUFFIX, INDEX_SUFFIX, BundlePaths, data_name, sibling
from converters.formats._bundle.folder import CHECKPOINT, write_checkpoint
from converters.formats._bundle.sidecar import SUFFIX
from converters.formats.staging import StagedFile, disk_errors


def output_prefix(path: Path) -> Path:
    """The prefix from a prefix or the name of one of its files. Raises `OutputError` for a folder."""
    if path.is_dir() or not path.name:
        raise OutputError(f"{path} is a folder; expected the prefix of a checkpoint in it, such as {path}/model.ckpt.")
    prefix = path.with_name(DATA_SUFFIX.sub("", path.name.removesuffix(INDEX_SUFFIX)) or path.name)
    if prefix.name == INDEX_SUFFIX:
        raise OutputError(f"{path}: expected a name before {INDEX_SUFFIX}, found none.")
    return prefix


class BundleOutput:
    """Data, index and metadata of one bundle, staged; discarded unless committed.

    A file `checkpoint` is added where the folder has none. One that is there is left as it is: it belongs to the
    bundles that were there before, and a training would resume from what it names.
    """

    def __init__(self, prefix: Path, *, overwrite: bool, sync: bool) -> None:
        self._prefix = prefix
        self._overwrite = overwrite
        self._sync = sync
        with ExitStack() as staged:
            self.data = staged.enter_context(self._stage(prefix.with_name(data_name(prefix.name, 0, 1))))
            self.sidecar = staged.enter_context(self._stage(sibling(prefix, SUFFIX)))
            self.index = staged.enter_context(self._stage(sibling(prefix, INDEX_SUFFIX)))
            self._open = staged.pop_all()

    @property
    def paths(self) -> BundlePaths:
        """Where the staged files can be read now."""
        return BundlePaths(index=self.index.path, shards=(self.data.path,), sidecar=self.sidecar.path)

    def commit(self) -> tuple[Path, ...]:
        """Give the files their names, the index after the data that it describes; says which files those are."""
        files = [self.data, self.sidecar, self.index]
        checkpoint = self._prefix.with_name(CHECKPOINT)
        if not checkpoint.exists():
            staged = self._open.enter_context(StagedFile(checkpoint, overwrite=False, sync=self._sync))
            staged.write(write_checkpoint(self._prefix.name))
            files.append(staged)
        named: list[Path] = []
        try:
            if self._overwrite:
                with disk_errors(self.index.target):
                    self.index.target.unlink(missing_ok=True)
            for file in files:
                file.commit()
                named.append(file.target)
        except BaseException:
            for path in named:
                path.unlink(missing_ok=True)
            raise
        return tuple(named)

    def close(self) -> None:
        """Discard what was not committed."""
        self._open.close()

    def _stage(self, target: Path) -> StagedFile:
        return StagedFile(target, overwrite=self._overwrite, sync=self._sync)
