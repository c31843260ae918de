"""`--max-failures`: the option that stops a run once too many images have an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zeroiqa.errors import UserError

if TYPE_CHECKING:
    from zeroiqa.runs.limits import Limit


class LimitType(click.ParamType["Limit"]):
    """A number from 0 on, or a percentage of the run's images."""

    name = "N|P%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Limit:
        """Read what was given."""
        from zeroiqa.runs.limits import parse_limit

        try:
            return parse_limit(value)
        except UserError as error:
            self.fail(str(error), param, ctx)
