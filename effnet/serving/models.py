"""The models of a server: loaded, warmed up, and asked."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.errors import InputError, MissingFramework, install_command
from effnet.serving.backend import About, Backend, Prepared
from effnet.serving.batching import Batcher, Done
from effnet.serving.directory import Found, Kind, find_models
from effnet.serving.errors import NotFound, Overloaded, Refused, numbered
from effnet.serving.limits import Limits
from effnet.serving.metrics import Metrics
from effnet.serving.request import Images
from effnet.serving.signatures import Signature


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A version of a model that can be run."""

    found: Found
    backend: Backend


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The outputs for the images of a request, and where the time went."""

    done: Sequence[Done]
    prepared: float
    """Seconds until the last image was ready for the network."""


def load_models(
    where: Path, *, limits: Limits, every_version: bool = False, threads: int | None = None
) -> list[Loaded]:
    """Load what `find_models` finds and run every signature once with one image and with a full batch.

    Raises `UnservableModel` and `MissingFramework`.
    """
    loaded = [
        Loaded(found=found, backend=_backend(found, limits=limits, threads=threads))
        for found in find_models(where, every_version=every_version)
    ]
    for model in loaded:
        _warm_up(model.backend, limits)
    return loaded


def _backend(found: Found, *, limits: Limits, threads: int | None) -> Backend:
    if found.kind is Kind.ONNX:
        from effnet.serving.onnx_model import OnnxModel

        return OnnxModel(found.path, threads=threads, pixels=limits.pixels)
    from effnet.serving.saved_model import SavedModel

    return SavedModel(found.path, threads=threads, pixels=limits.pixels)


def _warm_up(backend: Backend, limits: Limits) -> None:
    """The first image, and the first large batch, take up to seconds longer than the next ones."""
    side = backend.about.spec.preprocessing.resolution
    for name, signature in backend.signatures.items():
        image = _grey_jpeg(side) if signature.takes_bytes else _zeros(signature, side)
        prepared = backend.prepare(name, image)
        for size in sorted({1, limits.max_batch}):
            backend.run(prepared.group, [prepared.value] * size)


def _zeros(signature: Signature, side: int) -> NDArray[np.float32]:
    """An image of the size that the signature takes, or of `side` where it takes any."""
    height, width, channels = signature.input.shape[1:]
    return np.zeros((side if height < 0 else height, side if width < 0 else width, channels), dtype=np.float32)


def _grey_jpeg(side: int) -> bytes:
    if find_spec("PIL") is None:
        raise MissingFramework(
            f"Serving photographs needs Pillow. Install it, in the checkout: {install_command('serve', 'images')}."
        )
    file = io.BytesIO()
    image: Any = import_module("PIL.Image")
    image.new("RGB", (side, side), (127, 127, 127)).save(file, "JPEG")
    return file.getvalue()


class Model:
    """A loaded version with its queue. Made inside the event loop."""

    def __init__(self, loaded: Loaded, *, limits: Limits, metrics: Metrics, pool: ThreadPoolExecutor) -> None:
        self.found = loaded.found
        self._backend = loaded.backend
        self._limits = limits
        self._pool = pool
        self._metrics = metrics.of(loaded.found)
        self._in_house = 0
        self._pace = 0.0
        """Seconds an image took lately."""
        side = self.about.spec.preprocessing.resolution
        self._batcher = Batcher(
            self._backend.run,
            limits=limits,
            usual_pixels=side * side,
            expected=lambda: self._in_house,
            observer=self._metrics,
        )

    @property
    def about(self) -> About:
        """What the model says of itself."""
        return self._backend.about

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """What it can be asked."""
        return self._backend.signatures

    async def predict(self, signature: str, images: Images) -> Answers:
        """The outputs of a signature for each image.

        Raises `Overloaded` where too many images are in the house, `Refused` naming the image that cannot be used.
        """
        with self._admitted(len(images)):
            started = time.monotonic()
            try:
                prepared = await self._prepared(signature, images)
                ready = time.monotonic()
                done = await self._batcher.answer(prepared)
            except InputError as error:
                raise Refused(str(error)) from None
            took = (time.monotonic() - started) / len(images)
            self._pace = took if self._pace == 0 else 0.9 * self._pace + 0.1 * took
            self._metrics.answered(signature, len(images))
            return Answers(done=done, prepared=ready - started)

    async def close(self) -> None:
        """End its queue."""
        await self._batcher.close()

    @contextmanager
    def _admitted(self, count: int) -> Generator[None]:
        if self._in_house + count > self._limits.queue:
            wait = min(30, max(1, round(self._in_house * self._pace / self._limits.max_batch)))
            raise Overloaded(
                f"{self._in_house} images are before this one; at most {self._limits.queue} wait (--queue). "
                f"Try again in {wait} s.",
                retry_after=wait,
            )
        self._in_house += count
        self._metrics.in_progress(self._in_house)
        try:
            yield
        finally:
            self._in_house -= count
            self._metrics.in_progress(self._in_house)

    async def _prepared(self, signature: str, images: Images) -> list[Prepared]:
        if not self.signatures[signature].takes_bytes:
            return [self._backend.prepare(signature, image) for image in images]
        loop = asyncio.get_running_loop()
        running = [loop.run_in_executor(self._pool, self._backend.prepare, signature, image) for image in images]
        try:
            return [await numbered(future, index, len(running)) for index, future in enumerate(running)]
        finally:
            for future in running:
                if not future.cancel() and not future.cancelled():
                    future.exception()  # seen: another image failed first


class Models:
    """All models of a server by name and version."""

    def __init__(self, loaded: Sequence[Loaded], *, limits: Limits, metrics: Metrics) -> None:
        self._pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="effnet-prepare")
        self._models: dict[str, dict[int, Model]] = {}
        for item in loaded:
            model = Model(item, limits=limits, metrics=metrics, pool=self._pool)
            self._models.setdefault(item.found.name, {})[item.found.version] = model

    def newest(self) -> list[Model]:
        """The newest version of each model, by name."""
        return [versions[max(versions)] for _, versions in sorted(self._models.items())]

    def versions(self, name: str, version: int | None) -> list[Model]:
        """One version, or all that are served, the newest first. Raises `NotFound`."""
        versions = self._models.get(name, {})
        if version is None and versions:
            return [versions[number] for number in sorted(versions, reverse=True)]
        if version in versions:
            return [versions[version]]
        what = f"any versions of model {name}" if version is None else f"version {version} of model {name}"
        raise NotFound(f"Could not find {what}. {self._served()}")

    def find(self, name: str, version: int | None) -> Model:
        """A version, by default the newest. Raises `NotFound`."""
        versions = self._models.get(name, {})
        wanted = max(versions, default=None) if version is None else version
        if wanted not in versions:
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise NotFound(f"Servable not found for request: {asked}. {self._served()}")
        return versions[wanted]

    async def close(self) -> None:
        """End all queues and threads."""
        for versions in self._models.values():
            for model in versions.values():
                await model.close()
        self._pool.shutdown()

    def _served(self) -> str:
        names = (f"{name} ({', '.join(map(str, sorted(versions)))})" for name, versions in sorted(self._models.items()))
        return f"Served: {', '.join(names)}."
