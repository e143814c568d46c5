"""The application: models, addresses and what surrounds them. Any ASGI server can run it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from effnet.serving.errors import NotFound, Refused, WrongMethod
from effnet.serving.gate import Gate, refusal
from effnet.serving.limits import Limits
from effnet.serving.metrics import Metrics
from effnet.serving.models import Loaded, Models
from effnet.serving.page import Pages
from effnet.serving.rest import RestApi


def create_app(loaded: Sequence[Loaded], limits: Limits) -> FastAPI:
    """An application that serves these models, which `load_models` gave.

    Timeouts while a request's head is read, and the ordered end, are `effnet.serving.server`'s.
    """
    metrics = Metrics()
    gate = {"draining": False}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        models = Models(loaded, limits=limits, metrics=metrics)
        rest = RestApi(models=models, limits=limits, metrics=metrics)
        app.include_router(rest.router())
        app.include_router(Pages(models=models, metrics=metrics).router())
        yield
        rest.close()
        await models.close()

    app = FastAPI(title="effnet", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.metrics = metrics
    app.state.gate = gate
    app.add_exception_handler(Refused, refusal)
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_middleware(Gate, metrics=metrics, state=gate)
    return app


def _unrouted(request: Request, error: Exception) -> Response:
    """An address, or a method of it, that does not exist."""
    status = getattr(error, "status_code", 404)
    asked = f"{request.method} {request.url.path[:200]}"
    if request.url.path.lower().startswith("/v1/"):
        text = f"Malformed request: {asked}. Expected GET or POST /v1/models/NAME[/versions/N][:predict|/metadata]."
        return refusal(request, Refused(text))
    if status == WrongMethod.status:
        return refusal(request, WrongMethod(f"{asked} is not answered. Expected another method, such as GET."))
    return refusal(
        request, NotFound(f"{asked}: there is no such address. Expected /, /models, /healthz or /v1/models/NAME.")
    )
