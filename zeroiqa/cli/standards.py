"""`zeroiqa standards`: list the standards, or show one as a rater reads it."""

from __future__ import annotations

import click


@click.command()
@click.argument("name", required=False)
@click.option("--prompt", help="Text prompt of an image, to fill in a standard for correspondence.")
def standards(name: str | None, prompt: str | None) -> None:
    """List the standards, or show the filled prompt of NAME (a shipped name or a TOML file)."""
    from zeroiqa.standards import load_standard, standard_names

    if name is None:
        for each in map(load_standard, standard_names()):
            words = ", ".join(reversed(each.levels)) if each.kind == "word" else ""
            click.echo(f"{each.name:<24} {each.aspect:<15} {each.kind:<9} K = {each.k}  {words}".rstrip())
        return
    standard = load_standard(name)
    filled = standard.fill(prompt or "(the image's text prompt)" if standard.needs_prompt else None)
    click.echo(f"{standard.name}, version {standard.version}, sha256 {standard.hash}")
    click.echo(f"\nSystem:\n{filled.system}\n\nUser:\n{filled.user}")
