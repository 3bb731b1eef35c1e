"""`flask backup` and `flask restore`."""

from __future__ import annotations

from pathlib import Path

import click

from ..storage import Unavailable


@click.command("backup")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--files/--no-files", "with_files", default=True, show_default=True, help="No: they are kept elsewhere.")
def backup(path: Path, with_files: bool) -> None:
    """Write the database and the files of prompts and answers into one file, without DATAELAN_KEYS."""
    from .archive import Refused, write

    try:
        written = write(path, with_files=with_files)
    except (Refused, Unavailable, OSError) as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo(
        f"{path}: the database and {written:,} files. It is of no use without DATAELAN_KEYS: keep them elsewhere."
    )


@click.command("restore")
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--overwrite", is_flag=True, help="All that is in this database goes.")
def restore(path: Path, overwrite: bool) -> None:
    """Bring back what `flask backup` wrote, while neither web nor workers run. An older one is migrated."""
    from .archive import Refused, read

    try:
        written = read(path, overwrite=overwrite)
    except (Refused, Unavailable, OSError) as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo(f"The database and {written:,} files are back, and everybody signs in anew. Start Dataelan now.")
    click.echo("What was revoked after the backup holds again: look through gateway tokens, invitations, public links.")


COMMANDS = (backup, restore)
