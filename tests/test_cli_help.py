"""Help as people read it: groups, the values of the preset, examples; what is said of a mistaken command."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

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
    assert not [line for line in text.splitlines() if len(line) > WIDTH]
    assert "\u2011" not in text
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
        shown = re.search(rf"\[{preset}: ([^\]]*)\]", " ".join(record[0].split()))
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


@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize("name", ["score", "head train", "segment"])
def test_no_option_is_broken_at_a_hyphen(name: str, columns: int) -> None:
    text = zeroiqa(Path(), *name.split(), "--help", COLUMNS=str(columns)).stdout
    assert not re.search(r"\w-$", text, re.MULTILINE)


NEED_MORE = ("verify photos", "qwen", "small", "lmm4lmm", "spaq --root", "http:")
"""Words of examples that need weights, a server, a database or more than some seconds."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the examples run: photos, two folders, a run of a table and what people say of it."""
    folder = tmp_path_factory.mktemp("examples")
    random = np.random.default_rng(0)
    names = [f"{number:02}.png" for number in range(14)]
    for parent in ("photos", "A", "B"):
        (folder / parent).mkdir()
        for number, name in enumerate(names):
            noise = random.normal(128, 4 + 3 * number, (64, 64, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(folder / parent / name)
    Image.open(folder / "photos" / names[-1]).save(folder / "photo.jpg")
    rows = [f"photos/{name},{1 + number / 4}" for number, name in enumerate(names)]
    (folder / "images.csv").write_text("\n".join(["image,mos", *rows, "photo.jpg,3"]))
    for table in ("opinions.csv", "mine.csv"):
        (folder / table).write_text("\n".join(["image,mos", *rows, "photo.jpg,3"]))
    (folder / "good.txt").write_text("".join(f"photos/{name}\n" for name in names[:5]))
    for run, options in (("run", ["--regions"]), ("other", ["--lambda", "1"])):
        done = zeroiqa(folder, "score", "images.csv", "-o", run, "--workers", 1, *options)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    "line",
    [
        line
        for each in COMMANDS.values()
        if isinstance(each, Command)
        for line, _ in each.examples
        if not any(word in line for word in NEED_MORE)
    ],
)
def test_examples_that_need_no_weights_run(place: Path, tmp_path: Path, line: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(place, copy)
    if line.startswith("select --undo"):
        assert zeroiqa(copy, *shlex.split("select run --worst 3 --move bad")).returncode == 0
    if line.startswith("score photos -o run"):
        shutil.rmtree(copy / "run")
    if "--calibration" in line:
        assert zeroiqa(copy, *shlex.split("calibrate run --labels mine.csv -o mine.json")).returncode == 0
    done = zeroiqa(copy, *shlex.split(line))
    assert done.returncode == 0, done.stderr
    assert done.stdout or done.stderr


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
        (["-"], "zeroiqa score -"),
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
    for name, *rest in (["score"], ["report", "--preset", "small"], ["report", "a", "b", "c"]):
        (tmp_path / name).mkdir(exist_ok=True)
        done = zeroiqa(tmp_path, name, *rest)
        assert done.returncode == 2
        assert f" `zeroiqa score ./{name}` scores the folder {name}." in done.stderr
    refused = zeroiqa(tmp_path, "report", "run", "--regions", "many")
    assert refused.returncode == 2
    assert "./report" not in refused.stderr


def test_of_many_files_the_first_is_named(tmp_path: Path) -> None:
    names = [f"photo-{number:04}.jpg" for number in range(3000)]
    (tmp_path / names[0]).touch()
    done = zeroiqa(tmp_path, *names)
    assert done.returncode == 2
    assert "photo-0000.jpg is no command; `zeroiqa score photo-0000.jpg ...` scores it." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["scoer", "x"], "scoer is no command; did you mean score?"),
        (["upperbound"], "upperbound is no command; did you mean upper-bound?"),
        (["xyzzy"], "xyzzy is no command; the commands are score, segment, "),
        (["--", "-x"], "-x is no command; the commands are score, "),
        ([""], "'' is no command; the commands are score, "),
        (
            ["photo.jpg"],
            "photo.jpg is no command, and no file or folder is called that. Did you mean photos.jpg?",
        ),
        (
            ["a/b"],
            "a/b is no command, and no file or folder is called that. `zeroiqa score PATHS` scores images.",
        ),
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
    (tmp_path / "photos.jpg").touch()
    done = zeroiqa(tmp_path, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_a_preset_that_is_none_is_said_in_its_help() -> None:
    done = zeroiqa(Path(), "score", "--preset", "smal", "--help")
    assert done.returncode == 1
    assert "small" in done.stderr
