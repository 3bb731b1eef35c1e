"""Whereto traces go, if anywhere. OpenTelemetry is imported only where DATAELAN_TRACES_URL says so."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..config import ConfigError, Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

PARENT = "traceparent"
MISSING = (
    "DATAELAN_TRACES_URL is set, but what makes traces is not installed: "
    "`.venv/bin/python -m pip install --require-hashes -r requirements-traces.txt`."
)

_tracer: Tracer | None = None
_holds_words = False


def init(settings: Settings) -> None:
    """Once for each process. Sampling, headers of the collector and further attributes are read from OTEL_… by the
    library itself."""
    if not settings.traces_url:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise ConfigError(MISSING) from error
    begin(OTLPSpanExporter(endpoint=f"{settings.traces_url}/v1/traces"), holds_words=settings.traces_words)


def begin(exporter: SpanExporter | None, *, holds_words: bool = False) -> None:
    """From now on what is traced goes there; None: nothing is traced any more."""
    global _tracer, _holds_words
    _tracer, _holds_words = None, holds_words
    if exporter is None:
        return
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    is_named = "OTEL_SERVICE_NAME" in os.environ or SERVICE_NAME in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(resource=Resource.create({} if is_named else {SERVICE_NAME: "dataelan"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("dataelan")


def tracer() -> Tracer | None:
    return _tracer


def holds_words() -> bool:
    """May spans hold what was asked and answered?"""
    return _holds_words


def handed_on() -> dict[str, str]:
    """What a message of the queue takes along, so that the run goes on with this trace."""
    carried: dict[str, str] = {}
    if _tracer is not None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(carried)
    return {name: value for name, value in carried.items() if name == PARENT}


def context_of(carried: Mapping[str, Any]) -> Any:
    """The trace that a message or a request says it is a part of; what is none begins a new one."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    value = carried.get(PARENT) or carried.get(PARENT.title())  # as HTTP has it
    said = {PARENT: value} if isinstance(value, str) else {}
    return TraceContextTextMapPropagator().extract(said, Context())


@contextmanager
def continued(carried: Mapping[str, Any]) -> Iterator[None]:
    """While inside, what begins is a part of the trace that was handed on."""
    if _tracer is None:
        yield
        return
    from opentelemetry import context

    token = context.attach(context_of(carried))
    try:
        yield
    finally:
        context.detach(token)
