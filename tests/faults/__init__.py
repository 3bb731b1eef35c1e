"""The fault suite: a whole Dataelan under load, broken on purpose, and what must hold whatever breaks.

    make test-faults                          1,000 faults
    DATAELAN_FAULT_SEED=7 DATAELAN_FAULTS=50 make test-faults

`stack` is the Dataelan under test, a process a program. `load` uses it as people and programs do, `drills` are what
they do under a fault of their own, and `breakage` breaks the stack under them. `provider` keeps its own record of what
it was asked, and `verdict` compares that with what Dataelan recorded, by the queries of `invariants.sql`. `chaos` draws
a schedule from a seed and runs it. See docs/reliability.md.
"""
