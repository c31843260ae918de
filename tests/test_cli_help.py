"""Help as people read it: groups, the values of the preset, examples; what is said of a mistaken command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.command import zeroiqa
from zeroiqa.cli import cli
from zeroiqa.cli.command import Command
from zeroiqa.cli.groups import FEW, GROUPS
from zeroiqa.cli.options import SettingOption
from zeroiqa.settings import load_settings

WIDTH = 80


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command and group below the program, by what is typed for it."""
    for name, command in group.commands.items():
        yield " ".join((*path, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


COMMANDS = dict(commands())


def help_of(name: str, *before: str) -> str:
    done = zeroiqa(Path(), *shlex.split(name), *before, "--help", COLUMNS=str(WIDTH))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_nothing_is_wider_than_the_terminal_or_cut(name: str) -> None:
    text = help_of(name)
    *_, examples = text.partition("\nExamples:\n")
    assert not [line for line in text.removesuffix(examples).splitlines() if len(line) > WIDTH]
    assert not re.search(r"[a-z]\.\.\.$", text, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_text_and_where_they_are_many_a_group(name: str) -> None:
    command = COMMANDS[name]
    options = [param for param in command.params if isinstance(param, click.Option)]
    assert [option.opts for option in options if not option.help] == []
    assert command.help
    if len(options) <= FEW:
        return
    assert isinstance(command, Command)
    assert [option.opts[0] for option in command.ungrouped_options] == []
    text = help_of(name)
    titles = re.findall(r"^(\w[^:\n]*):$", text, re.MULTILINE)
    assert [title for title in titles if title in GROUPS] == [
        title for title in GROUPS if any(group.title == title for group in command.option_groups)
    ]
    for option in options:
        assert text.count(f" {option.opts[-1]} ") >= 1, option.opts


@pytest.mark.parametrize("preset", ["embedded", "llm-iqa", "dog-iqa", "ensemble"])
@pytest.mark.parametrize("name", ["score", "explain", "verify"])
def test_the_values_of_the_preset_are_shown(name: str, preset: str) -> None:
    text = help_of(name, *([] if preset == "embedded" else ["--preset", preset]))
    settings = load_settings(preset)
    for option in COMMANDS[name].params:
        if not isinstance(option, SettingOption):
            continue
        value = getattr(settings, str(option.name))
        record = re.search(rf"^  {option.opts[0]}\b.*?(?=^  -|^$)", text, re.MULTILINE | re.DOTALL)
        assert record is not None, option.opts
        in_one_line = re.sub(r"(?<=\w)-\s+", "-", record[0])
        shown = re.search(rf"\[{preset}: ([^\]]*)\]", " ".join(in_one_line.split()))
        if option.is_flag and not option.secondary_opts and value is False:
            continue
        assert shown is not None, option.opts
        if isinstance(value, str):
            assert shown[1] == value, option.opts
        elif isinstance(value, float):
            assert float(shown[1]) == pytest.approx(value), option.opts
        elif isinstance(value, tuple) and value:
            assert shown[1].split(", ") == [
                f"{each:g}" if isinstance(each, float) else each for each in value
            ]


def test_score_has_three_examples_and_the_groups_that_people_look_for() -> None:
    assert len(COMMANDS["score"].examples) == 3  # type: ignore[attr-defined]
    text = help_of("score")
    places = [
        text.index(f"\n{title}:\n") for title in ("Images", "Method", "Models", "Where it runs", "Output")
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "line", [line for each in COMMANDS.values() if isinstance(each, Command) for line, _ in each.examples]
)
def test_examples_are_lines_that_the_program_takes(line: str) -> None:
    context: click.Context = click.Context(cli, info_name="zeroiqa")
    command: click.Command = cli
    arguments = shlex.split(line)
    while isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.commands[name]
    assert command.make_context(name, arguments, parent=context).args == []


def test_commands_come_in_the_order_of_use_with_whole_summaries() -> None:
    text = help_of("")
    order = ["score", "report", "select", "status", "rescore", "evaluate", "compare", "models", "bench"]
    places = [text.index(f"\n  {name} ") for name in order]
    assert places == sorted(places)
    assert "..." not in text.partition("[ARGS]...")[2]
    listed = set(re.findall(r"^  ([a-z][a-z-]+)  ", text, re.MULTILINE))
    assert listed == set(cli.commands)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["photos"], "zeroiqa score photos"),
        (["my photos", "-o", "run"], "zeroiqa score 'my photos' -o run"),
        (["./report"], "zeroiqa score ./report"),
        (["*.png"], "zeroiqa score '*.png'"),
        (["s3://bucket/photos"], "zeroiqa score s3://bucket/photos"),
    ],
)
def test_images_in_the_place_of_a_command_are_told_how_they_are_scored(
    tmp_path: Path, arguments: list[str], line: str
) -> None:
    for name in ("photos", "my photos", "report"):
        (tmp_path / name).mkdir()
    done = zeroiqa(tmp_path, *arguments)
    assert done.returncode == 2
    assert f"{arguments[0]} is no command; `{line}` scores it." in done.stderr
    assert done.stdout == ""


def test_a_folder_that_is_called_like_a_command_is_written_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "select").touch()
    done = zeroiqa(tmp_path, "report")
    assert done.returncode == 2
    assert "`zeroiqa score ./report` scores the folder report." in done.stderr
    assert "./select" not in zeroiqa(tmp_path, "select").stderr
    assert "./status" not in zeroiqa(tmp_path, "status").stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["scoer", "x"], "scoer is no command; did you mean score?"),
        (["upperbound"], "upperbound is no command; did you mean upper-bound?"),
        (["xyzzy"], "xyzzy is no command; the commands are score, segment, "),
        (["export", "xml", "run"], "xml is no command; did you mean xmp?"),
        (
            ["-o", "run", "photos"],
            "-o is an option of commands; write it behind one, such as `zeroiqa score -o",
        ),
        (["--lambda", "1", "score"], "`zeroiqa score --lambda ...`"),
        (["--nonsense"], "No such option '--nonsense'"),
    ],
)
def test_a_mistaken_command_is_corrected(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    done = zeroiqa(tmp_path, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_a_preset_that_is_none_is_said_in_its_help() -> None:
    done = zeroiqa(Path(), "score", "--preset", "smal", "--help")
    assert done.returncode == 1
    assert "small" in done.stderr
