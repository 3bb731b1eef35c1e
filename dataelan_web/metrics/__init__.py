"""What a Prometheus asks for at /metrics, for the whole of Dataelan from any of its webs. Off without a token.

families    every metric, in one table
ended       runs that ended, and what they used: counted with the sums of dashboards, each once, whoever ran it
process     what each process says of itself, and the requests that it answered
store       counters, kept in Valkey for all processes; when that begins anew, so do they
standing    what is asked at the moment of the question
text        the form in which it is told

No name of a tenant, and no id, is a label: providers that belong to an organization count as `own/<wire format>`.
"""

from flask import Flask


def init_app(app: Flask) -> None:
    from . import process, routes

    app.register_blueprint(routes.bp)
    process.init_app(app)
