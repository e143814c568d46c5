"""One line of JSON for each event, on standard error."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("effnet.serving")
_FIELDS = "fields"


class OneLine(logging.Formatter):
    """A record as one line: time, level, event, and the fields of the event."""

    def format(self, record: logging.LogRecord) -> str:
        """The line. Everything that clients sent is escaped by JSON."""
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        document |= getattr(record, _FIELDS, {})
        if record.exc_info and record.exc_info[1] is not None:
            document["error"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(document, ensure_ascii=True, default=str)


def log(event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: Any) -> None:
    """Write an event; `error` brings its traceback along, in the same line."""
    LOGGER.log(level, event, extra={_FIELDS: fields}, exc_info=error)


def start_logging(level: str) -> None:
    """Send the events of this server, and what uvicorn has to say, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    logging.captureWarnings(True)
    for name, least in (("effnet.serving", level.upper()), ("uvicorn", "WARNING"), ("py.warnings", "WARNING")):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(least)
        logger.propagate = False
