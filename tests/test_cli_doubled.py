"""Options given twice."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from tests.command import zeroiqa
from zeroiqa.cli import cli
from zeroiqa.cli.doubled import find_doubled
from zeroiqa.samples import folder


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("score x --preset embedded --preset dog-iqa", "--preset embedded and dog-iqa"),
        ("score x --lambda 0 --lambda=1", "--lambda 0 and 1"),
        ("score x -o a --output b", "-o a and b"),
        ("score x -oa -ob", "-o a and b"),
        ("score x --areas literal --areas normalized", "--areas literal and normalized"),
        ("evaluate r --mos a --mos b", "--mos a and b"),
        ("export coco r -o a -o b", "-o a and b"),
        ("head train lmm4lmm --seed 1 --seed 2", "--seed 1 and 2"),
    ],
)
def test_an_option_with_two_values_is_said_in_one_line(tmp_path: Path, line: str, given: str) -> None:
    done = zeroiqa(tmp_path, *line.split())
    option, _, values = given.partition(" ")
    last = values.split()[-1]
    said = f"Warning: {option} was given {values}; the last counts, {option} {last}.\n"
    assert done.stderr.count(said) == 1


def test_the_last_counts(tmp_path: Path) -> None:
    done = zeroiqa(tmp_path, "score", folder() / "coffee.jpg", "--workers", 1, "-o", "a", "--output", "b")
    assert done.returncode == 0
    assert [each.name for each in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize(
    ("line", "last"),
    [("--complement --no-complement", "--no-complement"), ("--no-complement --complement", "--complement")],
)
def test_a_switch_turned_both_ways_is_said(tmp_path: Path, line: str, last: str) -> None:
    done = zeroiqa(tmp_path, "score", "x", *line.split())
    said = f"Warning: --complement and --no-complement were given; the last counts, {last}.\n"
    assert done.stderr.startswith(said)


def test_the_same_value_twice_is_said_once_and_done(tmp_path: Path) -> None:
    done = zeroiqa(
        tmp_path, "score", folder() / "coffee.jpg", "-o", "r", "--preset", "embedded", "--preset", "embedded",
        "--workers", 1, "--exact", "--exact", "--exact",
    )  # fmt: skip
    assert done.returncode == 0
    assert "Warning: --preset was given 2 times; once is enough.\n" in done.stderr
    assert done.stderr.count("--exact was given 3 times; once is enough.\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        "score x --rater nss --rater fake --include a --include b --standard c --standard d",
        "score x --workers 1 -- -o a -o b",
        "score --prset a --prset b",
        "nothing -o a -o b",
        "standards",
        "",
    ],
)
def test_options_that_repeat_and_what_click_refuses_are_left_alone(line: str) -> None:
    assert list(find_doubled(click.Context(cli), line.split())) == []


def commands(
    command: click.Command, names: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    if not isinstance(command, click.Group):
        return [(names, command)]
    return [found for name, each in command.commands.items() for found in commands(each, (*names, name))]


@pytest.mark.parametrize(
    ("names", "command"), [pytest.param(*each, id=" ".join(each[0])) for each in commands(cli)]
)
def test_no_option_of_any_command_takes_the_last_silently(
    names: tuple[str, ...], command: click.Command
) -> None:
    for option in command.params:
        if not isinstance(option, click.Option) or option.multiple or option.count:
            continue
        one, two = [option.opts[0]], [(option.secondary_opts or option.opts)[0]]
        if not option.is_flag:
            one, two = [*one, "1"], [*two, "2"]
        (found,) = find_doubled(click.Context(cli), [*names, *one, *two])
        assert found.option.name == option.name
        assert "the last counts" in found.remark or option.is_flag
