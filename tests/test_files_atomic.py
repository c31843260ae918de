from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from zeroiqa import runs, samples
from zeroiqa.errors import UserError
from zeroiqa.files import atomic
from zeroiqa.files.atomic import STALE_SECONDS, created, remove_leftovers, replaced
from zeroiqa.images.ref import ImageRef
from zeroiqa.runs.executors.local import LocalExecutor
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


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere/file")
    for content in (b"old", b"new"):
        write(replaced, tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "elsewhere" / "file").read_bytes() == content
    assert [each.name for each in (tmp_path / "elsewhere").iterdir()] == ["file"]


def test_a_pipe_is_written_into(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE)
    write(replaced, tmp_path / "pipe", b"content")
    assert reader.communicate()[0] == b"content"
    assert (tmp_path / "pipe").is_fifo()
    assert [each.name for each in tmp_path.iterdir()] == ["pipe"]


def test_a_device_is_written_into():
    master, slave = os.openpty()
    name = Path(os.ttyname(slave))
    before = name.stat().st_ino
    write(replaced, name, b"content")
    assert os.read(master, 100) == b"content"
    assert name.stat().st_ino == before
    assert name.is_char_device()
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_the_name_of_an_open_file_is_written_into(tmp_path, kind):
    link = tmp_path / "stdout"
    code = (
        "import pathlib, sys; from zeroiqa.files.atomic import replaced\n"
        "with replaced(pathlib.Path(sys.argv[1])) as file: file.write(b'content')"
    )
    with (tmp_path / "out").open("w+b") as out:
        link.symlink_to("/proc/self/fd/1")
        done = subprocess.run(
            [sys.executable, "-c", code, link], stdout=subprocess.PIPE if kind == "pipe" else out, check=True
        )
        out.seek(0)
        assert (done.stdout or out.read()) == b"content"
    assert link.readlink() == Path("/proc/self/fd/1")
    assert not [each for each in tmp_path.iterdir() if each.name not in ("out", "stdout")]


def age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.mark.parametrize(
    "owner",
    ["elsewhere-1", f"{platform.node()}-{os.getpid()}", "of-the-old-code-7-part"],
    ids=["elsewhere", "this process", "old code"],
)
def test_leftover_is_removed_once_nobody_has_renewed_its_time_whoever_began_it(tmp_path, owner):
    left = tmp_path / "ratings" / f".zeroiqa-{owner}"
    left.parent.mkdir()
    left.touch()
    remove_leftovers(tmp_path)
    assert left.exists()
    age(left, STALE_SECONDS + 5)
    remove_leftovers(tmp_path)
    assert list(left.parent.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["ratings"]


def test_nothing_unfinished_stays_in_a_folder_that_is_finished(tmp_path):
    (tmp_path / ".zeroiqa-elsewhere-1").touch()
    (tmp_path / "part-1").touch()
    remove_leftovers(tmp_path, finished=True)
    assert [path.name for path in tmp_path.iterdir()] == ["part-1"]


def test_who_writes_renews_the_time_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "BEAT_SECONDS", 0.02)
    with created(tmp_path / "part"):
        (temporary,) = tmp_path.iterdir()
        age(temporary, STALE_SECONDS + 5)
        deadline = time.monotonic() + 10
        while time.time() - temporary.stat().st_mtime > STALE_SECONDS and time.monotonic() < deadline:
            time.sleep(0.01)
        remove_leftovers(tmp_path)
        assert temporary.exists()


@pytest.mark.parametrize("how", [created, replaced])
def test_file_that_was_taken_for_a_leftover_is_written_again(tmp_path, how):
    with how(tmp_path / "file") as file:
        file.write(b"content")
        remove_leftovers(tmp_path, finished=True)
        assert list(tmp_path.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"content"


def test_file_whose_folder_is_gone_is_said_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match="could not be written"), created(tmp_path / "run" / "file"):
        shutil.rmtree(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_name_in_one_process_do_not_meet(tmp_path):
    with created(tmp_path / "file") as one, created(tmp_path / "file") as two:
        two.write(b"two")
        one.write(b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"two"  # its block ended first


def test_name_of_the_greatest_length_can_be_written(tmp_path):
    write(created, tmp_path / ("x" * 255))
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


@pytest.mark.skipif(
    subprocess.run(["unshare", "--user", "--map-root-user", "--pid", "--fork", "true"]).returncode != 0
    if shutil.which("unshare")
    else True,
    reason="no PID namespaces here",
)
def test_two_commands_in_two_pid_namespaces_make_one_run(tmp_path):
    """As two containers with one host name: both commands have the same number."""
    (tmp_path / "images").mkdir()
    for number in range(6):
        shutil.copy(samples.folder() / "cat.jpg", tmp_path / "images" / f"{number}.jpg")
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    command += [sys.executable, "-m", "zeroiqa", "score", "images", "-o", "run", "--workers", "1"]
    command += ["--segmenter", "grid", "--rater", "fake"]
    both = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len((tmp_path / "run" / "scores.csv").read_text().splitlines()) == 7
    assert not list((tmp_path / "run").rglob(".zeroiqa-*"))


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
    sources = [ImageRef(f"{number}.jpg") for number in range(3)]
    run = runs.open_run(open_folder / "run", settings, sources, preset="embedded")
    shards = LocalExecutor(1).execute(run, [0, 1], on_images=lambda _: None)
    assert next(shards) == 0
    folders = [path for path in run.folder.rglob("*") if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    with as_nobody(), pytest.raises(UserError, match="may not be written"):
        next(shards)
    assert runs.pending(run) == [1]
    for folder in folders:
        folder.chmod(0o755)
    assert list(LocalExecutor(1).execute(run, [1], on_images=lambda _: None)) == [1]


def test_file_in_place_of_a_folder_is_said_in_one_sentence(tmp_path):
    (tmp_path / "folder").touch()
    for place in (tmp_path / "folder" / "file", tmp_path / "folder" / "below" / "file"):
        with pytest.raises(UserError, match="is a file, not a folder; choose another name with -o"):
            write(created, place)
