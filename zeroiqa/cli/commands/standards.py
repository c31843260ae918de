"""`zeroiqa standards`: list the standards, or show one as a rater reads it."""

from __future__ import annotations

import click

from zeroiqa.cli.messages import say


@click.command()
@click.argument("name", required=False)
@click.option("--prompt", help="Text prompt of an image, to fill in a standard for correspondence.")
def standards(name: str | None, prompt: str | None) -> None:
    """List the standards, or show the filled prompt of NAME (a shipped name or a TOML file)."""
    from zeroiqa.standards import load_standard, standard_names

    if name is None:
        for each in map(load_standard, standard_names()):
            words = ", ".join(reversed(each.levels)) if each.kind in ("word", "next-word") else ""
            scale = f"K = {each.k}" if each.k else ""
            say(f"{each.name:<24} {each.aspect:<15} {each.kind:<11} {scale:<6} {words}".rstrip())
        return
    standard = load_standard(name)
    filled = standard.fill(prompt or "(the image's text prompt)" if standard.needs_prompt else None)
    say(f"{standard.name}, version {standard.version}, sha256 {standard.hash}")
    parts = {"System": filled.system, "User": filled.user, "The answer begins": filled.answer}
    parts |= {"Words for high quality": standard.positive, "Words for low quality": standard.negative}
    for title, text in parts.items():
        if text:
            say(f"\n{title}:\n{text}")
