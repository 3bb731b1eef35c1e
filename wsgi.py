"""The WSGI entry point: `granian --interface wsgi wsgi:app`, or `flask --app wsgi …`."""

from dataelan_web.starting import starting

with starting():
    from dataelan_web import create_app

    app = create_app()
