"""What a word means that is none of an option's choices."""

from __future__ import annotations

import re

import click

from zeroiqa.suggestions import did_you_mean

_REFUSED = re.compile(r"'(?P<word>[^']*)' is not one of (?P<choices>'.*')\.")
"""As click refuses a word."""


def choices_meant(error: click.BadParameter) -> str:
    """Click's sentence, with the choice that the word may mean where one looks like it."""
    refused = _REFUSED.fullmatch(error.message)
    if refused is None:
        return error.message
    hint = did_you_mean(refused["word"], re.findall("'([^']*)'", refused["choices"]))
    return f"{error.message} {hint[:1].upper()}{hint[1:]}".rstrip()
