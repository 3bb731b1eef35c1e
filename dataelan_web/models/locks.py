"""How long a transaction may keep what others wait for."""

from sqlalchemy import Text, func, literal_column

ALIVE = literal_column("set_config('idle_in_transaction_session_timeout', '10s', true)", Text)
"""Selected beside what locks a run's row or a limit's: where its process then stands still for so long, the database
ends the transaction, and the sweeper can end what that process left."""

IMPATIENT = func.set_config("lock_timeout", "2s", True)
"""… beside the first of a transaction that would rather not wait for a row that somebody else has locked."""
