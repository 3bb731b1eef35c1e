"""flask commands: a few lines each over the module that owns the work."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import TextIO

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from .accounts.commands import COMMANDS, weakness, whose
from .backup import commands as backup
from .hub.providers import fixture
from .limits.amounts import MOST_USD
from .models import NANO, Organization
from .router.providers import KINDS


def init_app(app: Flask) -> None:
    for command in (*COMMANDS, load_providers, bootstrap, rebuild_search, seed_demo, *backup.COMMANDS):
        app.cli.add_command(command)
    app.cli.add_command(keys)
    app.cli.add_command(rules)
    app.cli.add_command(files)
    app.cli.add_command(rollups)


@click.command("load-providers")
def load_providers() -> None:
    """Write the providers everyone has. Running it again mends their addresses, and touches no organization's."""
    click.echo(f"{fixture.load(current_app.extensions['dataelan_settings'].simulated_url)} providers.")


@click.command("rebuild-search")
def rebuild_search() -> None:
    """Index every run anew: after many were loaded past the application, or with dates of long ago."""
    from .search.rebuild import rebuild

    click.echo(f"{rebuild()} runs can be found.")


class Name(click.ParamType[str]):
    """As the form of such a thing takes it."""

    name = "name"

    def __init__(self, most: int):
        self.most = most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not 0 < len(text := str(value).strip()) <= self.most:
            self.fail(f"a name has 1 to {self.most} characters", param, ctx)
        return text


@click.command("seed-demo")
@click.option("--executions", type=click.IntRange(1), default=20_000, show_default=True)
@click.option("--days", type=click.IntRange(1, 730), default=90, show_default=True)
@click.option(
    "--seed",
    type=click.IntRange(0, 1_000_000),
    default=1,
    show_default=True,
    help="The same seed makes the same numbers.",
)
@click.option("--email", default="demo@example.com", show_default=True, help="Who owns it; made, if nobody has it.")
@click.option("--password", help="Of a new owner; else one is made up and said.")
@click.option("--org", "name", type=Name(90), default="Demo", show_default=True)
@click.option("--organizations", type=click.IntRange(1, 100), default=1, show_default=True)
def seed_demo(
    executions: int, days: int, seed: int, email: str, password: str | None, name: str, organizations: int
) -> None:
    """Make an organization with months of believable runs; of several, the first has two fifths. Nothing is sent."""
    import secrets as random_words

    from .demo import seed as sow

    password = password or random_words.token_urlsafe(12)
    if is_new := whose(email) is None:
        _warn_of_weak(password, email)
    try:
        made = sow(executions, days, seed, email, password, name, organizations)
    except LookupError as missing:
        raise click.ClickException(str(missing)) from missing
    for home, count in made:
        click.echo(f"{count:,} runs of {days} days: /o/{home.slug}/dashboard")
    click.echo(
        f"{email} owns {'it' if len(made) == 1 else 'them'}{f', and signs in with {password}' if is_new else ''}."
    )


class Usd(click.ParamType[Decimal]):
    name = "usd"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is not an amount of USD", param, ctx)
        if not amount.is_finite() or amount < 0:
            self.fail("the amount must not be negative", param, ctx)
        if amount > MOST_USD:
            self.fail(f"${MOST_USD:,} is the most that can be entered", param, ctx)
        return amount


@click.command("bootstrap")
@click.option("--email", required=True)
@click.option("--password", required=True)
@click.option("--org", "organization", type=Name(100), required=True)
@click.option("--project", type=Name(200), required=True)
@click.option("--budget", type=Usd(), help="USD the organization may spend in all.")
@click.option("--provider-kind", "kinds", multiple=True, type=click.Choice(sorted(KINDS)))
@click.option("--provider-url", "urls", multiple=True)
@click.option("--provider-key", "secrets", multiple=True, help="May be empty.")
@click.option("--model", "models", multiple=True)
def bootstrap(
    email: str,
    password: str,
    organization: str,
    project: str,
    budget: Decimal | None,
    kinds: tuple[str, ...],
    urls: tuple[str, ...],
    secrets: tuple[str, ...],
    models: tuple[str, ...],
) -> None:
    """Make (or find) all that a program needs to send prompts; print it as one line of JSON."""
    from .bootstrap import Offer, set_up
    from .hub.providers.servers import AddressRefused

    if not len(kinds) == len(urls) == len(secrets) == len(models):
        raise click.UsageError(
            "Give --provider-kind, --provider-url, --provider-key and --model the same number of times."
        )
    if whose(email) is None:
        _warn_of_weak(password, email)
    offers = [Offer(*offer) for offer in zip(kinds, urls, secrets, models, strict=True)]
    try:
        click.echo(json.dumps(set_up(email, password, organization, project, budget, offers)))
    except AddressRefused as refused:
        raise click.ClickException(str(refused)) from refused


def _warn_of_weak(password: str, email: str) -> None:
    """No more: a program that sets up what it tries out by itself has passwords that no person would."""
    if weak := weakness(password, email):
        click.echo(
            f"Warning: {weak} The account {email} is made all the same; change it before others reach it.", err=True
        )


def _text(file: TextIO) -> str:
    try:
        return file.read()
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file.name} is not a text file.") from error


keys = AppGroup("keys", help="The platform's provider keys, and the encryption of all.")


@keys.command("add")
@click.option("--provider", "slug", required=True, help="Its slug: openai, anthropic …")
@click.option("--label", default="")
@click.option("--weight", type=click.IntRange(0, 1000), default=1)
@click.option("--daily-quota", type=Usd(), help="USD a day it may spend, for all organizations together.")
@click.option(
    "--key-file",
    type=click.File("r"),
    default="-",
    help="The file that holds the key; else it is read from standard input.",
)
def keys_add(slug: str, label: str, weight: int, daily_quota: Decimal | None, key_file: TextIO) -> None:
    """Check a key of the platform's with its provider, and keep it encrypted. It is never an argument."""
    from .hub.keys import platform
    from .hub.providers.checking import problem_of
    from .router.types import Failure

    quota = None if daily_quota is None else int(daily_quota * NANO)
    try:
        key, checked = platform.add(slug, _text(key_file).strip(), label, weight, quota)
    except platform.NotAKey as problem:
        raise click.ClickException(str(problem)) from problem
    except Failure as failure:
        raise click.ClickException(problem_of(slug, failure)) from failure
    said = f"{len(key.listed_models)} models" if checked.listed is not None else "no list of models"
    proven = "" if checked.is_proven else " It could not be checked; its first use will."
    click.echo(f"“{key.label}” ••••{key.last_four} is the platform's key for {key.provider.name}: {said}.{proven}")


@keys.command("list")
def keys_list() -> None:
    """The platform's keys, without their secrets."""
    from .hub.keys.platform import all_keys
    from .hub.providers.overview import health_of
    from .quota import usd

    for key in all_keys():
        limit = "no limit" if key.daily_quota is None else f"{usd(key.daily_quota)} a day"
        state = health_of(key)
        words = (key.provider.slug, key.label, f"••••{key.last_four}", f"weight {key.weight}", limit, state.text)
        click.echo("  ".join((*words, *filter(None, [state.detail]))))


@keys.command("status")
def keys_status() -> None:
    """How many secrets (provider keys, webhooks’, links in letters) are sealed with which encryption key."""
    from .hub.keys.rotation import counts

    for name, count in counts().items():
        click.echo(f"{name}: {count}")


@keys.command("verify")
def keys_verify() -> None:
    """Decrypt every secret; exit 1 when one cannot be read."""
    from .hub.keys.rotation import name_of, unreadable

    bad = unreadable()
    for row, problem in bad:
        click.echo(f"{row.id} “{name_of(row)}”: {problem}", err=True)
    if bad:
        raise SystemExit(1)
    click.echo("All secrets can be read.")


@keys.command("rotate")
def keys_rotate() -> None:
    """Seal every secret with the first of DATAELAN_KEYS."""
    from .hub.keys.rotation import counts, rotate
    from .secrets import keyring

    click.echo(f"{rotate()} secrets were sealed anew.")
    if left := counts().total() - counts()[keyring().newest]:
        raise click.ClickException(f"{left} could not be. Run `flask keys verify` to see which.")


@keys.command("retire")
@click.argument("key_id")
def keys_retire(key_id: str) -> None:
    """May this encryption key be taken out of DATAELAN_KEYS? Exit 1 while rows still need it."""
    from .hub.keys.rotation import counts
    from .secrets import keyring

    if key_id not in {*keyring().ids, *counts()}:
        raise click.ClickException(f"DATAELAN_KEYS has no {key_id}. It has: {', '.join(keyring().ids)}.")
    if key_id == keyring().newest:
        raise click.ClickException(f"{key_id} is the key that encrypts. Put a new one before it, then rotate.")
    if left := counts().get(key_id, 0):
        raise click.ClickException(f"{left} secrets still need {key_id}. Run `flask keys rotate` first.")
    click.echo(f"Nothing needs {key_id} any more; take it out of DATAELAN_KEYS.")


rules = AppGroup("rules", help="The platform's routing rules, which everyone's prompts try after their own.")


@rules.command("list")
@click.option("--yaml", "as_yaml", is_flag=True, help="As a file that `flask rules import` takes.")
def rules_list(as_yaml: bool) -> None:
    """The platform's rules in the order in which they are tried, each with what it says."""
    from .hub.rules import platform
    from .hub.transfer.document import write

    if as_yaml:
        click.echo(write(platform.document()), nl=False)
        return
    for one in platform.listed():
        state = "" if one.row.is_enabled else " (off)"
        click.echo(f"{one.row.priority}  {one.row.name}{state}: {one.said}")


@rules.command("add")
@click.argument("name")
@click.option("--model", "models", multiple=True, help="provider/name, or provider/name=WEIGHT. Once for each model.")
@click.option("--fallback", "fallbacks", multiple=True, help="provider/name, for when the others fail.")
@click.option("--condition", "conditions", multiple=True, help="name=value, such as max_cost=0.05 or tags='[eu]'.")
@click.option("--type", "model_type", default="TEXT", show_default=True, help="TEXT, CODE, IMAGE, VOICE or VIDEO.")
@click.option("--strategy", default="weighted", show_default=True)
@click.option("--priority", type=int, default=100, show_default=True, help="The lowest number is tried first.")
@click.option("--goes-on-unheard", is_flag=True, help="Ask the next model when one falls silent: both may charge.")
def rules_add(
    name: str,
    models: tuple[str, ...],
    fallbacks: tuple[str, ...],
    conditions: tuple[str, ...],
    model_type: str,
    strategy: str,
    priority: int,
    goes_on_unheard: bool,
) -> None:
    """Add a rule for everyone. What more a rule can say is said in a file: see `flask rules import`."""
    from .hub.rules import platform
    from .hub.rules.drafts import Refused
    from .hub.transfer.document import BadDocument
    from .hub.transfer.report import NotTaken

    try:
        values = platform.values_of(models, fallbacks, conditions)
        said = {"type": model_type, "strategy": strategy, "priority": priority, "goes_on_unheard": goes_on_unheard}
        row = platform.add({"name": name, **said, **values})
    except (BadDocument, NotTaken, Refused) as refused:
        raise click.ClickException(str(refused)) from refused
    click.echo(f"“{row.name}” is a rule of the platform now.")


@rules.command("remove")
@click.argument("name")
def rules_remove(name: str) -> None:
    """Delete a rule of the platform."""
    from .hub.rules import platform

    try:
        platform.remove(name)
    except platform.NoSuchRule as unknown:
        raise click.ClickException(str(unknown)) from unknown
    click.echo(f"“{name}” was deleted.")


@rules.command("import")
@click.argument("file", type=click.File("r"))
def rules_import(file: TextIO) -> None:
    """Take the rules of a YAML or JSON file (`-`: standard input), as `flask rules list --yaml` or a hub's export
    writes it. Exit 1 when one was left out."""
    from .hub.rules import platform
    from .hub.transfer.document import BadDocument, read

    try:
        report = platform.bring_in(read(_text(file)))
    except BadDocument as bad:
        raise click.ClickException(str(bad)) from bad
    for line in report.lines:
        click.echo(f"{line.what}: {line.subject}{f' ({line.why})' if line.why else ''}")
    if report.of("left"):
        raise SystemExit(1)


files = AppGroup("storage", help="The files of prompts and answers.")


@files.command("sweep")
@click.option(
    "--organizations-gone",
    is_flag=True,
    help="Also what belongs to organizations that are not in this database. Only where no other Dataelan uses it.",
)
def storage_sweep(organizations_gone: bool) -> None:
    """Delete files that nothing names any more, and that are older than a day. A worker does the same every day."""
    from .executions import unused_files
    from .storage import Unavailable

    try:
        swept = unused_files.sweep(with_strange=organizations_gone)
    except Unavailable as away:
        raise click.ClickException(str(away)) from away
    click.echo(f"{swept.files} {'file was' if swept.files == 1 else 'files were'} deleted ({swept.size:,} bytes).")
    if swept.strange:
        click.echo(f"{swept.strange} belong to organizations that are not here, and were left (--organizations-gone).")


rollups = AppGroup("rollups", help="The sums that dashboards show.")


@rollups.command("verify")
@click.option("--org", "slug", help="The slug of one organization; else all.")
def rollups_verify(slug: str | None) -> None:
    """Compare every sum with the runs and the ledger; exit 1 when one differs."""
    from .rollups.rebuilding import drift

    found = [one for organization in _organizations(slug) for one in drift(organization)]
    for one in found:
        click.echo(str(one), err=True)
    if found:
        raise SystemExit(1)
    click.echo("Every sum agrees with the runs and the ledger.")


@rollups.command("rebuild")
@click.option("--org", "slug", help="The slug of one organization; else all.")
def rollups_rebuild(slug: str | None) -> None:
    """Make the sums anew from the runs and the ledger, one organization after the other."""
    from .rollups.rebuilding import rebuild

    for organization in _organizations(slug):
        click.echo(f"{organization.slug}: {rebuild(organization)} runs.")


def _organizations(slug: str | None) -> list[Organization]:
    from .rollups.rebuilding import organizations

    try:
        return organizations(slug)
    except LookupError as unknown:
        raise click.ClickException(str(unknown)) from unknown
