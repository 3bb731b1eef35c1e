"""Conversations from elsewhere: ChatGPT, Claude, LibreChat, Open WebUI, and Dataelan's own export.

One more format: its line and its reader in formats.py, and a small export of it as the test.
"""

from flask import Flask

from .routes import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
