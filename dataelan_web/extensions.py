"""The libraries that hook into the application, unbound until `create_app` binds them."""

from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from htmx_flask import Htmx

from .models.base import Base

# Tables are declared on our own Base. What a commit wrote stays readable without asking the database again;
# rows changed by an UPDATE statement are refreshed where that matters.
db = SQLAlchemy(metadata=Base.metadata, session_options={"expire_on_commit": False})
migrate = Migrate()
login = LoginManager()
csrf = CSRFProtect()
htmx = Htmx()
