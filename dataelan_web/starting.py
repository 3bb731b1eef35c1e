"""How a long-lived process starts: what it is made of stays to its end, so nobody looks there for garbage.

The 400,000 objects of the imported libraries cost a fifth of the time to start, and later every full collection
0.2 s in which nothing else runs.

What comes after it is garbage in circles only now and then: Python looks after every 700 objects, and that was 9 % of
all that our pages and tests cost. Looked for after 20,000, it is 3 %, and a process holds a few megabytes more.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

BETWEEN = (20_000, 20, 50)
"""How many objects are made, and how many smaller collections, before the next of each generation: see `gc`."""


@contextmanager
def starting() -> Iterator[None]:
    """`with starting(): …` around imports and what is built once."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*BETWEEN)
        gc.enable()
