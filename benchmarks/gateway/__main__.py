"""Single products and measures: `python -m benchmarks.gateway two --only streams`; all of them without a word."""

from __future__ import annotations

import argparse

from . import inside, whole
from .measures import ALL, SECONDS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=__doc__)
    parser.add_argument("products", nargs="*", metavar="product", help=", ".join([*whole.PRODUCTS, "inside"]))
    parser.add_argument("--only", action="append", choices=ALL, help="this measure only; may be given several times")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that each rate is counted")
    asked = parser.parse_args()
    wanted = asked.products or [*whole.PRODUCTS, "inside"]
    if unknown := set(wanted) - {*whole.PRODUCTS, "inside"}:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    if products := [name for name in wanted if name != "inside"]:
        whole.run(products, asked.only or ALL, asked.seconds)
    if "inside" in wanted:
        inside.measure()


if __name__ == "__main__":
    main()
