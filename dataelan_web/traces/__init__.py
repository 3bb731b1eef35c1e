"""Traces, for OpenTelemetry: a request, the run that it asked for, and each call of a model in it. Off by default, and
then nothing of it is imported.

names      every name that is used, in one table
tracer     whereto they go; how a trace goes on from a request through the queue to a worker
requests   a span for each request
runs       a span for each run, and one for each of its calls
"""

from .runs import RunTrace, of_run
from .tracer import continued, handed_on, init

__all__ = ["RunTrace", "continued", "handed_on", "init", "of_run"]
