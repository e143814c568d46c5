"""The page for people at `/`, and the addresses for those who watch the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from effnet.catalogue import network_info
from effnet.serving.gate import json_response
from effnet.serving.metrics import CONTENT_TYPE, Metrics
from effnet.serving.models import Model, Models
from effnet.serving.signatures import CLASSIFY_BYTES
from effnet_core import CentreCrop, NetworkSpec, ShorterSide

_FOLDER = Path(__file__).parent
_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Pages:
    """The handlers, over the models of one server."""

    def __init__(self, *, models: Models, metrics: Metrics) -> None:
        self._models = models
        self._metrics = metrics

    def router(self) -> APIRouter:
        """The addresses."""
        router = APIRouter()
        for path in _FILES:
            router.add_api_route(path, self.file, methods=["GET", "HEAD"])
        router.add_api_route("/models", self.models, methods=["GET"])
        router.add_api_route("/healthz", self.healthy, methods=["GET", "HEAD"])
        router.add_api_route("/readyz", self.ready, methods=["GET", "HEAD"])
        router.add_api_route("/metrics", self.numbers, methods=["GET"])
        return router

    async def file(self, request: Request) -> Response:
        """The page and its parts."""
        name, kind = _FILES[request.url.path]
        text = (_FOLDER / name).read_text(encoding="utf-8")
        return Response(text, media_type=kind, headers={"Content-Security-Policy": _POLICY})

    async def models(self) -> Response:
        """The newest version of each model with its card."""
        return json_response({"models": [card(model) for model in self._models.newest()]})

    async def healthy(self) -> Response:
        """The process answers."""
        return json_response({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """New requests are welcome: not while the server is ending."""
        if request.app.state.gate["draining"]:
            return json_response({"status": "ending"}, status=503)
        return json_response({"status": "ready"})

    async def numbers(self) -> Response:
        """What Prometheus reads."""
        return Response(self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def card(model: Model) -> dict[str, Any]:
    """What people want to know of a model."""
    about, spec = model.about, model.about.spec
    written = about.card
    return {
        "name": model.found.name,
        "version": model.found.version,
        "backend": model.found.kind.value,
        "signatures": sorted(model.signatures),
        "takes_photographs": CLASSIFY_BYTES in model.signatures,
        "network": spec.name,
        "parameters": network_info(spec).parameters,
        "multiply_adds": network_info(spec).multiply_adds,
        "classes": None if spec.classifier is None else spec.classifier.num_classes,
        "has_names": about.labels is not None,
        "resolution": spec.preprocessing.resolution,
        "recipe": spec.preprocessing.recipe,
        "preprocessing": preprocessing(spec),
        "folded": written.get("folded"),
        "source": written.get("source"),
        "digest": written.get("digest"),
        "written_by": written.get("effnet"),
    }


def preprocessing(spec: NetworkSpec) -> str:
    """What of a photograph reaches the network, in a few words."""
    rule = spec.preprocessing
    side = rule.resolution
    match rule.crop:
        case CentreCrop(padding=padding):
            crop = f"the central square, {side / (side + padding):.1%} of the shorter side"
        case ShorterSide(side=shorter):
            crop = f"the central square, {side / shorter:.1%} of the shorter side"
        case _:
            crop = "the whole photograph, squeezed into a square"
    return f"{crop}, in {side} x {side} pixels ({rule.resampling.value})"
