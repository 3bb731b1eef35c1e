"""A web that gives slow bodies up after a second: `granian tests.slow_bodies:app`, for test_bodies.py."""

from flask import Flask, request

from dataelan_web.bodies import Bodies

MOST = 8 << 20
app = Flask(__name__)
app.wsgi_app = bodies = Bodies(app.wsgi_app, MOST, patience=1)  # type: ignore[method-assign]


@app.get("/")
def being_read() -> str:
    return str(sum(bodies._reading.values()))


@app.post("/")
def length() -> str:
    return str(len(request.get_data()))
