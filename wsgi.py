"""The WSGI entry point: `granian --interface wsgi wsgi:app`, or `flask --app wsgi …`."""

from dataelan_web.starting import starting

with starting():
    from dataelan_web import create_app
    from dataelan_web.executions import behind

    app = create_app()
    behind.allow(app)
