from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from zeroiqa import runs
from zeroiqa.errors import UserError
from zeroiqa.inputs import Source
from zeroiqa.runs.executors.local import execute
from zeroiqa.runs.files import created, remove_leftovers, replaced
from zeroiqa.settings import load_settings

NOBODY = 65534


@contextmanager
def as_nobody():
    """Permissions do not bind root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that every user may enter, unlike the ones of tmp_path."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def write(how, path, content=b"content"):
    with how(path) as file:
        file.write(content)


@pytest.mark.parametrize("how", [created, replaced])
def test_file_has_its_content_and_nothing_else_is_left(tmp_path, how):
    write(how, tmp_path / "a" / "b" / "file")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"content"
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["file"]


@pytest.mark.parametrize("how", [created, replaced])
def test_file_is_not_there_before_the_block_has_ended(tmp_path, how):
    with how(tmp_path / "file") as file:
        file.write(b"half")
        file.flush()
        assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("how", [created, replaced])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_block_that_raises_leaves_nothing(tmp_path, how, error):
    with pytest.raises(error), how(tmp_path / "file"):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_created_keeps_the_file_of_whoever_was_first(tmp_path):
    with created(tmp_path / "file") as late:
        (tmp_path / "file").write_bytes(b"first")
        late.write(b"late")
    assert (tmp_path / "file").read_bytes() == b"first"


def test_replaced_takes_the_place_of_an_older_file(tmp_path):
    write(replaced, tmp_path / "file", b"old")
    write(replaced, tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_leftover_of_a_dead_process_is_removed_and_that_of_a_living_one_kept(tmp_path):
    code = """
import os, sys
from pathlib import Path
from zeroiqa.runs.files import created
with created(Path(sys.argv[1])):
    os._exit(0)
"""
    with created(tmp_path / "mine"):
        subprocess.run([sys.executable, "-c", code, tmp_path / "theirs"], check=True)
        assert len(list(tmp_path.iterdir())) == 2
        remove_leftovers(tmp_path)
        (left,) = tmp_path.iterdir()
        assert f"-{os.getpid()}-" in left.name
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_leftover_of_another_machine_is_kept(tmp_path):
    (tmp_path / ".zeroiqa-elsewhere-1-part").touch()
    remove_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_full_disk_is_said_in_one_sentence_and_leaves_nothing(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(
            UserError, match=r"The disk is full, .*file could not be written; .*free some space"
        ):
            write(created, tmp_path / "file", bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_may_not_be_written_is_said_in_one_sentence(open_folder):
    open_folder.chmod(0o555)
    with as_nobody(), pytest.raises(UserError, match="may not be written .*choose another folder with -o"):
        write(created, open_folder / "file")


def test_run_whose_folder_becomes_read_only_says_so_and_keeps_its_parts(open_folder):
    settings = load_settings("embedded", {"segmenter": "grid", "raters": ["fake"]})
    sources = [Source(f"{number}.jpg", 0, None) for number in range(3)]
    run = runs.open_run(open_folder / "run", settings, sources, preset="embedded")
    shards = execute(run, [0, 1], workers=1, on_images=lambda _: None)
    assert next(shards) == 0
    folders = [path for path in run.folder.rglob("*") if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    with as_nobody(), pytest.raises(UserError, match="may not be written"):
        next(shards)
    assert runs.pending(run) == [1]
    for folder in folders:
        folder.chmod(0o755)
    assert list(execute(run, [1], workers=1, on_images=lambda _: None)) == [1]


def test_file_in_place_of_a_folder_is_said_in_one_sentence(tmp_path):
    (tmp_path / "folder").touch()
    with pytest.raises(UserError, match="could not be written"):
        write(created, tmp_path / "folder" / "file")
