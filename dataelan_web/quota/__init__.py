"""Limits that hold: reserve the most an attempt can use, settle what it used, give back what was never sent.

docs/limits.md tells how limits work. Read: amounts, windows, subjects, limits, refusals, holds; then setting, undoing,
standing, rates and books.
"""

from .amounts import Use, said, usd
from .books import Drift, correct, drift, mend
from .holds import (
    GRACE,
    REFUSED,
    Charge,
    Settled,
    commit,
    held,
    hold,
    prolong,
    reserve,
    settle,
    settle_at_last,
    to_settle,
    void,
)
from .limits import GRANTED_IN, Applicable, Limit, Rate, applicable, limits_of, used_percent
from .openings import WrongOpening, first_windows, look_at_openings, wrong_openings
from .rates import Lease, Rates
from .refusals import OverLimit, RateExceeded, RatesUnknown, tightest, whose_limit
from .setting import counts_for, erase, forget, set_limit, set_rate
from .standing import Standing, left_usd, standing
from .subjects import OPERATORS, Subjects
from .undoing import Replaced, delete_limit, delete_rate, restore_limit, restore_rate
from .walking import Walk
from .windows import window_of
from .wire import array

__all__ = [
    "GRACE",
    "GRANTED_IN",
    "OPERATORS",
    "REFUSED",
    "Applicable",
    "Charge",
    "Drift",
    "Lease",
    "Limit",
    "OverLimit",
    "Rate",
    "RateExceeded",
    "Rates",
    "RatesUnknown",
    "Replaced",
    "Settled",
    "Standing",
    "Subjects",
    "Use",
    "Walk",
    "WrongOpening",
    "applicable",
    "array",
    "commit",
    "correct",
    "counts_for",
    "delete_limit",
    "delete_rate",
    "drift",
    "erase",
    "first_windows",
    "forget",
    "held",
    "hold",
    "left_usd",
    "limits_of",
    "look_at_openings",
    "mend",
    "prolong",
    "reserve",
    "restore_limit",
    "restore_rate",
    "said",
    "set_limit",
    "set_rate",
    "settle",
    "settle_at_last",
    "standing",
    "tightest",
    "to_settle",
    "usd",
    "used_percent",
    "void",
    "whose_limit",
    "window_of",
    "wrong_openings",
]
