"""Sums over runs, kept beside them for dashboards: `cuts` (what is summed by what), `counting` (the one statement that
adds runs and lines of the ledger to them), `keeping` (what waits is counted, by one worker at a time), `rebuilding`
(anew from the runs, and is it right?), `retagging` (sessions whose tags changed) and `histogram` (how long
things took)."""
