"""How many answers the programs on this machine are working on, asked of the database."""

import socket
from collections.abc import Mapping
from pathlib import Path

import psycopg2

RUNNING = """
SELECT count(*) FROM executions WHERE state = 'running' AND lease_until > now() AND starts_with(lease_owner, %s)
"""


def running(environ: Mapping[str, str]) -> int | None:
    """None: the database does not say."""
    try:
        url = environ.get("DATABASE_URL") or Path(environ.get("DATABASE_URL_FILE", "")).read_text().strip()
        connection = psycopg2.connect(url.replace("+psycopg2:", ":", 1), connect_timeout=2)
    except (OSError, psycopg2.Error):
        return None
    try:
        with connection.cursor() as cursor:
            cursor.execute(RUNNING, (f"{socket.gethostname()}-",))
            return int(cursor.fetchone()[0])
    except psycopg2.Error:
        return None
    finally:
        connection.close()
