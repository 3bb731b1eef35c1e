"""One run: each product in turn, against the same instant provider, asked by the same client."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial

from .dataelan import dataelan
from .measures import ALL, SECONDS, Figures, Measured
from .peers import LITELLM, MLFLOW, PORTKEY, peer
from .products import NotThere, Product, upstream
from .table import bars, heads, row_of

PRODUCTS: dict[str, Callable[[Product], AbstractContextManager[Product]]] = {
    "direct": nullcontext,
    "one": partial(dataelan, webs=1),
    "two": partial(dataelan, webs=2),
    "litellm": partial(peer, LITELLM),
    "portkey": partial(peer, PORTKEY),
    "mlflow": partial(peer, MLFLOW),
}
NAMES = {"litellm": LITELLM.name, "portkey": PORTKEY.name, "mlflow": MLFLOW.name}


def run(products: Collection[str] = tuple(PRODUCTS), wanted: Collection[str] = ALL, seconds: float = SECONDS) -> None:
    """Prints the table and the bars. What cannot be started has the reason in its row, and the others go on. Asked to
    end, it leaves nothing behind, and tells of what it has."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rows: dict[str, Figures | str] = {}
    shown: dict[str, str] = {}
    print(heads(), flush=True)
    with suppress(KeyboardInterrupt), upstream() as provider:
        for short in products:
            try:
                with PRODUCTS[short](provider) as product:
                    shown[short] = product.name
                    rows[short] = Measured(product, seconds).all(wanted)
            except (NotThere, OSError, RuntimeError, SystemExit) as reason:
                shown.setdefault(short, NAMES.get(short, short))
                rows[short] = str(reason)
            print(row_of(shown[short], rows[short]), flush=True)
    print()
    for short, row in rows.items():
        if isinstance(row, Figures):
            parts(shown[short], row, is_ours=short in ("one", "two"))
    print()
    for line in bars(rows):
        print(line)


def parts(name: str, row: Figures, *, is_ours: bool) -> None:
    """What each of our programs took, and what went wrong."""
    if is_ours and row.memory:
        memory = ", ".join(f"{program} {used / 2**20:.0f}" for program, used in row.memory.most_common())
        print(f"  {name}, MB at the most: {memory}; threads of web: {row.threads['web']}")
    for connections, answers in row.answers.items() if is_ours else ():
        spent = ", ".join(f"{program} {used * 1000:.2f}" for program, used in sorted(answers.programs.items()))
        print(f"  {name}, CPU a request at {connections}, ms: {spent}")
    for fault in row.faults:
        print(f"  {name}, went wrong: {fault}")
