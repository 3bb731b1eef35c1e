from __future__ import annotations

import click

from . import domains


@click.command("prove-domain")
@click.option("--organization", "slug", required=True, help="What its address says after /o/.")
@click.option("--domain", required=True)
def prove_domain(slug: str, domain: str) -> None:
    """Say that a domain is an organization's: its provider then says who people with such addresses are."""
    if problem := domains.vouch(slug, domain):
        raise click.ClickException(problem)
    click.echo(f"{domain} is proven to be {slug}’s.")
