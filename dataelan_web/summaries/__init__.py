"""An organization's week, or month, on one page: read in the browser, printed, and sent to who chose it.

periods    which week or month, and how it is addressed
content    what is on the page, from the sums of dashboards, for one who sees these
budget     where the month's budget stands, and leads; which limits were met
savings    what caches and rules saved
plain      the same in plain text
sending    each period once, in the morning after it, by whichever worker is first
"""

from flask import Flask


def init_app(app: Flask) -> None:
    from . import routes

    app.register_blueprint(routes.bp)
