"""TensorFlow Serving's REST calls: predict, status, metadata.

Addresses, documents and status codes as in https://www.tensorflow.org/tfx/serving/api_rest and tensorflow/serving
model_servers/http_rest_api_util.cc.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from fastapi import APIRouter, Request
from fastapi.responses import Response

from effnet.serving.errors import Overloaded, Refused, TooLate
from effnet.serving.gate import json_response, note
from effnet.serving.limits import Limits
from effnet.serving.metrics import Metrics
from effnet.serving.models import Answers, Models
from effnet.serving.reading import Bodies
from effnet.serving.request import Call, parse
from effnet.serving.response import answer
from effnet.serving.signatures import Signature, metadata

_LARGEST_VERSION = 2**63 - 1
_SMALL = 128 * 1024
"""Bytes of JSON that take a few milliseconds at most, whatever they hold."""


class RestApi:
    """The handlers, over the models of one server."""

    def __init__(self, *, models: Models, limits: Limits, metrics: Metrics) -> None:
        self._models = models
        self._limits = limits
        self._metrics = metrics
        self._bodies = Bodies(limits)
        self._answering = 0
        # One large request at a time: its lists take many times the memory of its text.
        self._parser = ThreadPoolExecutor(max_workers=1, thread_name_prefix="effnet-parse")

    def close(self) -> None:
        """End its thread."""
        self._parser.shutdown()

    def router(self) -> APIRouter:
        """The addresses."""
        router = APIRouter(prefix="/v1/models")
        for path in ("/{name}", "/{name}/versions/{version}"):
            router.add_api_route(f"{path}:predict", self.predict, methods=["POST"])
            for verb in ("classify", "regress"):
                router.add_api_route(f"{path}:{verb}", self.of_examples, methods=["POST"])
            router.add_api_route(f"{path}/metadata", self.metadata, methods=["GET"])
            router.add_api_route(path, self.status, methods=["GET"])
        router.add_api_route("/{name}/labels/{label}:{verb}", self.labels, methods=["POST"])
        router.add_api_route("/{name}/labels/{label}", self.labels, methods=["GET"])
        router.add_api_route("/{name}/labels/{label}/metadata", self.labels, methods=["GET"])
        return router

    async def predict(self, request: Request) -> Response:
        """POST .../NAME[/versions/N]:predict."""
        started = time.monotonic()
        body = await self._bodies.read(request)
        read = time.monotonic()
        try:
            with self._slot():
                model = self._models.find(*_asked(request))
                try:
                    async with asyncio.timeout(self._limits.answer_timeout):
                        call = await self._parsed(body, model.signatures)
                        note(request, model=model.found.name, signature=call.signature, images=len(call.images))
                        parsed = time.monotonic()
                        answers = await model.predict(call.signature, call.images)
                except TimeoutError:
                    raise TooLate(
                        f"No answer within {self._limits.answer_timeout:g} s (--timeout): the server has too much "
                        "to do. Try again later, or with fewer images."
                    ) from None
                rows = [done.row for done in answers.done]
                content = answer(rows, call.form)
        finally:
            self._bodies.release(body)
        timing = _timing(answers, read=read - started, parse=parsed - read)
        return Response(content, media_type="application/json", headers={"Server-Timing": timing})

    async def _parsed(self, body: bytearray, signatures: Mapping[str, Signature]) -> Call:
        if len(body) <= _SMALL:
            return parse(body, signatures, self._limits)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._parser, _parse_large, body, signatures, self._limits)

    async def status(self, request: Request) -> Response:
        """GET .../NAME[/versions/N]."""
        versions = self._models.versions(*_asked(request))
        states = [
            {
                "version": str(model.found.version),
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
            for model in versions
        ]
        return json_response({"model_version_status": states})

    async def metadata(self, request: Request) -> Response:
        """GET .../NAME[/versions/N]/metadata."""
        model = self._models.find(*_asked(request))
        return json_response(metadata(model.found.name, model.found.version, model.signatures))

    async def of_examples(self, request: Request) -> Response:
        """POST .../NAME:classify and :regress, which take signatures of tf.Example."""
        verb = request.url.path.rpartition(":")[2]
        model = self._models.find(*_asked(request))
        raise Refused(
            f"Expected {verb} signature method_name to be tensorflow/serving/{verb}. Was: tensorflow/serving/predict. "
            f'Post {{"signature_name": "classify_bytes", "instances": [{{"b64": "..."}}]}} to '
            f"/v1/models/{model.found.name}:predict instead."
        )

    async def labels(self, request: Request) -> Response:
        """Addresses with labels, which take a configuration file of TensorFlow Serving."""
        name, _ = _asked(request)
        label = request.path_params["label"]
        self._models.versions(name, None)
        raise Refused(f"Unrecognized servable version label: {label}. Versions have no labels here; use /versions/N.")

    @contextmanager
    def _slot(self) -> Generator[None]:
        if self._answering >= self._limits.requests:
            raise Overloaded(f"{self._answering} requests are being answered (--max-requests). Try again in a second.")
        self._answering += 1
        self._metrics.requests_in_progress(self._answering)
        try:
            yield
        finally:
            self._answering -= 1
            self._metrics.requests_in_progress(self._answering)


def _parse_large(body: bytearray, signatures: Mapping[str, Signature], limits: Limits) -> Call:
    """In one thread at a time. JSON has no cycles, and looking for them takes as long as reading it."""
    gc.disable()
    try:
        return parse(body, signatures, limits)
    finally:
        gc.enable()


def _asked(request: Request) -> tuple[str, int | None]:
    name, version = request.path_params["name"], request.path_params.get("version")
    if version is None:
        return name, None
    if not (version.isascii() and version.isdigit() and len(version) < 20 and int(version) <= _LARGEST_VERSION):
        raise Refused(f"Failed to convert version: {version[:40]} to numeric.")
    return name, int(version)


def _timing(answers: Answers, *, read: float, parse: float) -> str:
    last = max(answers.done, key=lambda done: done.waited + done.ran)
    parts = {"read": read, "parse": parse, "prepare": answers.prepared, "wait": last.waited, "run": last.ran}
    return ", ".join(f"{name};dur={seconds * 1e3:.2f}" for name, seconds in parts.items())
