"""Why a folder that holds a run is not opened as another one, and what can be done then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zeroiqa.errors import UserError, printable
from zeroiqa.files.storage import Location
from zeroiqa.runs.identity import check_version, differences, without_additions
from zeroiqa.runs.naming import Naming, naming_from

if TYPE_CHECKING:
    from zeroiqa.runs.following import News


def refuse_others(folder: Location, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Raise `UserError` unless `here` is the method that is there, or that with more raters or regions."""
    check_version(folder, there)
    if without_additions(here, there) == there:
        return
    fields = differences(there, without_additions(here, there))
    listed = ", ".join(
        f"{key} is {_plain(then)} there and {_plain(now)} here" for key, (then, now) in fields.items()
    )
    ways = ["choose another folder with -o"]
    if next(folder.rglob("part-*.parquet"), None) is None:
        ways.append("delete this one, which holds no result yet")
    if set(fields) <= {"raters"}:
        ways.append("name all its raters to add others to them")
        ways.append(f"choose some of them with `zeroiqa rescore {folder} --member NAME`")
    raise UserError(f"{folder} holds a run with other settings: {listed}; {', or '.join(ways)}.")


def refuse_other_images(
    folder: Location,
    inputs: Mapping[str, Any],
    naming: Naming | None,
    news: News,
    *,
    add: bool,
    refresh: bool,
) -> bool:
    """Raise `UserError` unless the run is of what is named.

    Args:
        folder: Of the run.
        inputs: What its identity says of its images.
        naming: What the command names, canonical for the run's root; None for exact images.
        news: How what it finds differs from what is planned.
        add: Whether the run shall take in whatever is found.
        refresh: Whether other prompts are taken.

    Returns:
        Whether the run follows what is named; False where it has just these images.
    """
    if news.reworded is not None and not refresh:
        path, then, now = news.reworded
        what = f"the prompt of {printable(path)} is {then!r} there and {now!r} here"
        raise UserError(
            f"{folder} has other prompts ({what}); choose another folder with -o, or give --refresh."
        )
    own = naming_from(inputs)
    if add or (own is not None and naming is not None and _same(own, naming, news)):
        return True
    if news.new or news.missing or news.back:
        raise UserError(_other_images(folder, own, naming, news))
    return False


def _same(own: Naming, naming: Naming, news: News) -> bool:
    """Whether a command names what the run was begun for, or that and all that was added to it."""
    return own.how == naming.how and set(naming.names) in (set(own.names), set(news.named))


def _other_images(folder: Location, own: Naming | None, naming: Naming | None, news: News) -> str:
    examples = [f"{printable(row.ref.name)} only there" for row in news.missing[:1]]
    examples += [f"{printable(source.path)} only here" for source in news.new[:1]]
    what = f"{len(news.missing)} are only there, {len(news.new)} only here: {', '.join(examples)}"
    if own is not None:
        here = "exact images" if naming is None else _described(naming)
        what = f"those of {_described(own)} there, {here} here; {what}"
    ways = "choose another folder with -o"
    if news.new:
        ways += ", or take in the new ones with --add"
    return f"{folder} holds a run over other images ({what}); {ways}."


def _described(naming: Naming) -> str:
    """As in a command."""
    options = [f"--include {each}" for each in naming.include]
    options += [f"--exclude {each}" for each in naming.exclude]
    options += ["--sidecar-prompts"] * naming.sidecar_prompts
    options += [f"with the texts of {naming.texts}"] if naming.texts else []
    return printable(" ".join([*naming.names, *options]))


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
