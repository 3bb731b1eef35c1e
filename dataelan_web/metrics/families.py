"""Every metric, in one table. Counters and histograms are kept in `store` as whole numbers; `unit` is what one is."""

from __future__ import annotations

from dataclasses import dataclass

MICRO, NANO = 1e-6, 1e-9
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)


@dataclass(frozen=True)
class Family:
    name: str
    kind: str
    """counter, gauge or histogram."""
    about: str
    labels: tuple[str, ...] = ()
    unit: float = 1
    buckets: tuple[float, ...] = ()


def _waited(name: str, about: str, *labels: str) -> Family:
    return Family(name, "histogram", about, labels, MICRO, SECONDS)


RUNS = Family("dataelan_runs_total", "counter", "Runs that ended.", ("origin", "type", "state", "error"))
RUN_WAIT = _waited("dataelan_run_wait_seconds", "From asking until a worker began, of runs that began.", "origin")
RUN_DURATION = _waited("dataelan_run_duration_seconds", "From asking to the end, of runs that completed.", "origin")
ATTEMPTS = Family("dataelan_attempts_total", "counter", "Calls of providers.", ("provider", "outcome", "error"))
FIRST_TOKEN = _waited("dataelan_attempt_first_token_seconds", "Until the first token of a whole answer.", "provider")
ATTEMPT_DURATION = _waited("dataelan_attempt_duration_seconds", "Until the end of a whole answer.", "provider")
TOKENS = Family("dataelan_tokens_total", "counter", "Tokens that calls used.", ("provider", "class"))
SPEND = Family("dataelan_spend_usd_total", "counter", "What calls cost, by the ledger.", ("provider", "payer"), NANO)
UNPRICED = Family("dataelan_runs_unpriced_total", "counter", "Runs that ended at an unknown price.")
REFUSED = Family("dataelan_runs_refused_total", "counter", "Runs that a limit let not begin.", ("limit", "scope"))
REQUESTS = Family("dataelan_http_requests_total", "counter", "Requests answered.", ("door", "method", "status"))
ANSWERED = _waited("dataelan_http_request_duration_seconds", "Until an answer begins.", "door")

KEPT = (
    RUNS, RUN_WAIT, RUN_DURATION, ATTEMPTS, FIRST_TOKEN, ATTEMPT_DURATION, TOKENS, SPEND, UNPRICED, REFUSED, REQUESTS,
    ANSWERED,
)  # fmt: skip
"""What grows, and is kept in `store`."""

UP = Family("dataelan_up", "gauge", "Does it answer? Without the database, less is told.", ("part",))
MESSAGES = Family("dataelan_queue_messages", "gauge", "Messages of the queue that no worker has taken.")
WORKERS = Family("dataelan_workers", "gauge", "Workers that were heard of in the last 15 seconds.")
OPEN = Family("dataelan_runs_open", "gauge", "Runs that wait, or are being run.", ("state",))
OLDEST = Family("dataelan_run_oldest_waiting_seconds", "gauge", "How long the first of those that wait has waited.")
ROLLUP_WAITING = Family("dataelan_rollup_waiting", "gauge", "Lines that the sums of dashboards do not hold yet.")
ROLLUP_LAG = Family("dataelan_rollup_lag_seconds", "gauge", "How far the sums of dashboards are behind.")
DRIFT = Family("dataelan_ledger_drift_windows", "gauge", "Windows of limits that do not agree with the ledger.")
OUTBOX = Family("dataelan_outbox_waiting", "gauge", "Mail and webhooks that are due.")
CPU = Family("dataelan_process_cpu_seconds_total", "counter", "Processor time used.", ("process",))
MEMORY = Family("dataelan_process_resident_memory_bytes", "gauge", "Memory in use.", ("process",))
THREADS = Family("dataelan_process_threads", "gauge", "Threads.", ("process",))
FILES = Family("dataelan_process_open_fds", "gauge", "Open files and connections.", ("process",))
STARTED = Family("dataelan_process_start_time_seconds", "gauge", "When it began, in Unix seconds.", ("process",))
CONNECTIONS = Family("dataelan_process_database_connections", "gauge", "Connections in use.", ("process",))
RUNNING = Family("dataelan_process_runs", "gauge", "Runs that it runs at this moment.", ("process",))

OF_PROCESSES = (CPU, MEMORY, THREADS, FILES, STARTED, CONNECTIONS, RUNNING)
ALL = (*KEPT, UP, MESSAGES, WORKERS, OPEN, OLDEST, ROLLUP_WAITING, ROLLUP_LAG, OUTBOX, DRIFT, *OF_PROCESSES)
