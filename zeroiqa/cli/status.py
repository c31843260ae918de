"""`zeroiqa status`: how far a run is."""

from __future__ import annotations

from urllib.parse import unquote

import click

from zeroiqa.storage import Location, location


@click.command()
@click.argument("run", type=location)
def status(run: Location) -> None:
    """Say how far a run is, and which errors its images gave."""
    from zeroiqa.errors import printable
    from zeroiqa.runs import load_run
    from zeroiqa.runs import status as measure

    loaded = load_run(run)
    state = measure(loaded)
    for stage, shards in state.finished.items():
        click.echo(f"{printable(unquote(stage))}: {shards} of {state.shards} shards")
    done = "scored" if loaded.settings.raters else "segmented"
    click.echo(f"{state.scored} of {state.images} images {done}, {state.errors} with an error")
    for kind, count in state.error_kinds.most_common(10):
        click.echo(f"  {count} x {printable(kind)}")
    left = state.images - state.scored - state.errors
    click.echo(
        "complete" if left == 0 else f"{left} images left; the command that started the run goes on with them"
    )
