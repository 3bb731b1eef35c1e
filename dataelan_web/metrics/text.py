"""Prometheus' text format, version 0.0.4.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .families import Family
from .store import SUM

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Sample:
    labels: tuple[str, ...]
    """Values, in the order of the family's labels."""
    value: float
    suffix: str = ""
    le: str = ""
    """Of a histogram: the upper edge of a bucket."""


def of_counter(family: Family, kept: Mapping[tuple[str, ...], int]) -> list[Sample]:
    return [Sample(labels, count * family.unit) for labels, count in sorted(kept.items())]


def of_histogram(family: Family, kept: Mapping[tuple[str, ...], int]) -> Iterator[Sample]:
    """From counts of its buckets: each with all below it, as the format wants it."""
    for labels in sorted({key[:-1] for key in kept}):
        upto = 0
        for place, edge in enumerate((*family.buckets, None)):
            upto += kept.get((*labels, str(place)), 0)
            yield Sample(labels, upto, "_bucket", "+Inf" if edge is None else f"{edge:g}")
        yield Sample(labels, kept.get((*labels, SUM), 0) * family.unit, "_sum")
        yield Sample(labels, upto, "_count")


def written(found: Iterable[tuple[Family, Sequence[Sample]]]) -> str:
    lines = []
    for family, samples in found:
        if samples:
            lines += [f"# HELP {family.name} {family.about}", f"# TYPE {family.name} {family.kind}"]
            lines += [_line(family, sample) for sample in samples]
    return "\n".join([*lines, ""])


def _line(family: Family, sample: Sample) -> str:
    pairs = [*zip(family.labels, sample.labels, strict=True), *([("le", sample.le)] if sample.le else [])]
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
    value = f"{sample.value:.9f}".rstrip("0").rstrip(".") if isinstance(sample.value, float) else str(sample.value)
    return f"{family.name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {value}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
