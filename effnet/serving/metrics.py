"""What Prometheus is told, by its own library."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from effnet.serving.directory import Found

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_MODEL = ("model", "version")


class Metrics:
    """The numbers of one server, in a registry of its own. docs/serving.md lists them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        own = self._registry
        self._requests = Counter("effnet_requests", "Requests that were answered.", ("route", "status"), registry=own)
        self._seconds = Histogram(
            "effnet_request_seconds",
            "Seconds from the head of a request to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=own,
        )
        self._refused = Counter("effnet_refused", "Requests that were refused, by reason.", ("reason",), registry=own)
        self._images = Counter("effnet_images", "Images that were answered.", (*_MODEL, "signature"), registry=own)
        self._sizes = Histogram("effnet_batch_images", "Images in a batch.", _MODEL, buckets=_SIZES, registry=own)
        self._runs = Histogram(
            "effnet_batch_seconds", "Seconds that a batch ran.", _MODEL, buckets=_SECONDS, registry=own
        )
        self._house = Gauge(
            "effnet_images_in_progress", "Images being prepared, waiting or being run.", _MODEL, registry=own
        )
        self._open = Gauge("effnet_requests_in_progress", "Requests being answered.", registry=own)

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def refused(self, reason: str) -> None:
        """A request was refused."""
        self._refused.labels(reason).inc()

    def requests_in_progress(self, count: int) -> None:
        """How many requests are being answered now."""
        self._open.set(count)

    def of(self, model: Found) -> ModelMetrics:
        """The numbers of one model."""
        labels = (model.name, str(model.version))
        return ModelMetrics(
            images=self._images,
            labels=labels,
            sizes=self._sizes.labels(*labels),
            runs=self._runs.labels(*labels),
            house=self._house.labels(*labels),
        )

    def text(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)


class ModelMetrics:
    """The numbers of one model; the observer of its batches."""

    def __init__(
        self, *, images: Counter, labels: tuple[str, str], sizes: Histogram, runs: Histogram, house: Gauge
    ) -> None:
        self._images, self._labels = images, labels
        self._sizes, self._runs, self._house = sizes, runs, house

    def batch(self, size: int, seconds: float) -> None:
        """A batch was run."""
        self._sizes.observe(size)
        self._runs.observe(seconds)

    def answered(self, signature: str, count: int) -> None:
        """Images of a request were answered."""
        self._images.labels(*self._labels, signature).inc(count)

    def in_progress(self, count: int) -> None:
        """How many images the model has before it."""
        self._house.set(count)
