"""`--quiet`: errors and warnings only."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest

from tests.command import zeroiqa
from zeroiqa.cli import cli, messages
from zeroiqa.samples import folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("cat.jpg", "coffee.jpg", "rocket.png"):
        shutil.copy(folder() / name, photos)
    return photos


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_a_run_without_trouble_says_nothing(photos: Path, option: str) -> None:
    done = zeroiqa(photos.parent, "score", "photos", "-o", "run", option)
    assert done == (0, "", "")
    assert (photos.parent / "run" / "scores.csv").is_file()
    assert zeroiqa(photos.parent, "score", "photos", "-o", "run", option) == (0, "", "")
    both = ("--baseline", "piqe", "--baseline", "log-laplacian")
    assert zeroiqa(photos.parent, "score", "photos", *both, option) == (0, "", "")


def test_what_is_printed_for_programs_stays(photos: Path) -> None:
    done = zeroiqa(photos.parent, "score", "photos", "-o", "run", "-q", "--format", "csv")
    assert done.returncode == 0
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 4


def test_images_with_an_error_are_counted(photos: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    done = zeroiqa(photos.parent, "score", "photos", "-o", "run", "-q")
    assert done.returncode == 0
    assert done.stdout == ""
    assert done.stderr == "Warning: no score for 1 of 4 images, which have an error; see scores.csv in run.\n"
    done = zeroiqa(photos.parent, "segment", "photos", "-o", "regions", "-q", "--no-overlays")
    assert done == (0, "", "Warning: no regions for 1 of 4 images, which have an error.\n")


def test_warnings_and_errors_are_said(photos: Path) -> None:
    (photos / "notes.md").touch()
    done = zeroiqa(photos.parent, "score", "photos", "-o", "run", "-q", "--exact", "--exact")
    lines = done.stderr.splitlines()
    assert lines == [
        "Warning: --exact was given 2 times; once is enough.",
        "Warning: Passed over: 1 file that is no image: 1 .md.",
    ]
    done = zeroiqa(photos.parent, "score", "photo", "-q")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: photo does not exist;")
    done = zeroiqa(photos.parent, "score", "photos", "-q", "--lamda", 1)
    assert done.returncode == 2
    assert "Error: No such option" in done.stderr


def test_other_commands_print_what_they_are_for_and_nothing_else(photos: Path) -> None:
    here = photos.parent
    assert zeroiqa(here, "score", "photos", "-o", "run", "-q") == (0, "", "")
    (here / "mos.csv").write_text("image,mos\ncat.jpg,1\ncoffee.jpg,2\nrocket.png,3\n")
    opinions = ("--mos", "mos.csv", "--root", "photos", "--resamples", 0, "-q")
    for line in (
        ("evaluate", "run", *opinions[:-1], "-o", "out", "-q"),
        ("rescore", "run", "--lambda", 0, "-q"),
    ):
        done = zeroiqa(here, *line)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert done.stdout
    for line in (
        ("report", "run", "-o", "page.html", "-q"),
        ("export", "coco", "run", "-o", "coco", "-q"),
    ):
        assert zeroiqa(here, *line) == (0, "", ""), line


def commands(command: click.Command) -> list[click.Command]:
    """Every command that is no group."""
    if not isinstance(command, click.Group):
        return [command]
    return [found for each in command.commands.values() for found in commands(each)]


@pytest.mark.parametrize("command", commands(cli), ids=lambda each: each.name)
def test_every_command_has_it(command: click.Command) -> None:
    (option,) = [each for each in command.params if "--quiet" in each.opts]
    assert "-q" in option.opts


def test_one_command_leaves_the_next_as_it_is(photos: Path) -> None:
    assert zeroiqa(photos.parent, "score", "photos", "-o", "run", "-q") == (0, "", "")
    assert not messages.is_quiet()
    assert zeroiqa(photos.parent, "score", "photos", "-o", "run").stderr != ""
