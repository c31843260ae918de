"""`zeroiqa standards`: list the standards, or show one as a rater reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say

if TYPE_CHECKING:
    from zeroiqa.standards import FilledPrompt, Standard


_OF_WORDS = ("word", "next-word", "comparison")


@command(examples=[("standards quality-word-7", "its levels and the prompt as it is sent")])
@click.argument("name", required=False)
@click.option("--prompt", help="Text prompt of an image, to fill in a standard for correspondence.")
def standards(name: str | None, prompt: str | None) -> None:
    """List the standards, or show the filled prompt of NAME (a shipped name or a TOML file)."""
    from zeroiqa.standards import load_standard, standard_names

    if name is None:
        for each in map(load_standard, standard_names()):
            words = ", ".join(reversed(each.levels)) if each.kind in _OF_WORDS else ""
            scale = f"K = {each.k}" if each.k else ""
            say(f"{each.name:<24} {each.aspect:<15} {each.kind:<11} {scale:<6} {words}".rstrip())
        return
    standard = load_standard(name)
    say(f"{standard.name}, version {standard.version}, sha256 {standard.hash}")
    for title, text in _parts(standard, prompt or "(the image's text prompt)").items():
        if text:
            say(f"\n{title}:\n{text}")


def _parts(standard: Standard, prompt: str) -> dict[str, str]:
    """What a rater reads, part by part, each with its title."""
    whole, crop = (standard.fill(prompt, crop=crop) for crop in (False, True))
    parts = {"System": whole.system}
    if standard.crops_differ:
        parts |= {"User, for the whole image": _user(whole), "User, for the crops of regions": _user(crop)}
    else:
        parts |= {"User": _user(whole)}
    parts |= {"The answer begins": whole.answer} | _compared(standard, prompt)
    return parts | {
        "Words for high quality": standard.positive,
        "Words for low quality": standard.negative,
    }


def _compared(standard: Standard, prompt: str) -> dict[str, str]:
    """What a comparison shows and asks besides."""
    comparison = standard.comparison
    if comparison is None:
        return {}
    copies = ", ".join(f"{each.name} {each.severity}" for each in comparison.degradations)
    photo = "its first two tiles" if comparison.show == "as-run" else "whole"
    weigh = _user(standard.fill(prompt, weight=True)) if comparison.weight_question else ""
    return {
        "Shown with the image, one after the other": f"{copies}; the image second, {photo}",
        "Read": " against ".join(reversed(standard.levels)),
        "User, for the weight of an answer": weigh,
        "Read for the weight": " against ".join(comparison.weight_words),
    }


def _user(filled: FilledPrompt) -> str:
    """The user's text; with what stands around the image, where that is more than a line break before it."""
    if not filled.before_image:
        return filled.user
    return f"{filled.before_image}(the image){filled.after_image}{filled.user}"
