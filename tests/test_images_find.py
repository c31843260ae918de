"""Which images the arguments of a command mean."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from zeroiqa.errors import UserError
from zeroiqa.images import find
from zeroiqa.images.ref import ImageRef
from zeroiqa.images.sieve import EXTENSIONS

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode here")


def make(*paths: str, content: bytes = b"12345") -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)


def find_images(*arguments: Any, **options: Any) -> list[ImageRef]:
    """Without the times; `test_the_time_of_a_file_is_noted` is for these."""
    return [source._replace(modified=None) for source in find.find_images(*arguments, **options)]


def test_the_time_of_a_file_is_noted(here):
    make("a.jpg", "in/b.png")
    for path in ("a.jpg", "in/b.png"):
        os.utime(path, ns=(1, 1_700_000_000_123_456_789))
    Path("list.txt").write_text("a.jpg\nnone.jpg\n")
    for arguments in (["a.jpg"], ["in"], ["in/*"], ["list.txt"]):
        found, *missing = find.find_images(arguments)
        assert found.modified == 1_700_000_000_123_456_789
        assert [source.modified for source in missing] == [None] * len(missing)


def paths_of(*arguments: str, **options) -> list[str]:
    return [source.path for source in find_images(arguments, **options)]


def test_file_is_taken_with_its_size(here):
    make("a.jpg")
    assert find_images(["a.jpg"]) == [ImageRef("a.jpg", 5)]


def test_file_named_by_the_user_may_be_called_anything(here):
    make("photo", "b.dat")
    assert paths_of("photo", "b.dat") == ["photo", "b.dat"]


def test_folder_is_searched_below_in_byte_order(here):
    make("in/b.jpg", "in/a/z.PNG", "in/B.jpg", "in/a10.jpg", "in/a9.jpg", "in/ä.jpg", "in/c/d/e.webp")
    expected = ["B.jpg", "a/z.PNG", "a10.jpg", "a9.jpg", "b.jpg", "c/d/e.webp", "ä.jpg"]
    assert paths_of("in") == [f"in/{name}" for name in expected]
    assert paths_of("in/") == [f"in/{name}" for name in expected]


def test_folder_yields_images_only(here):
    make("in/a.jpg", "in/run.json", "in/scores.csv", "in/part.parquet", "in/README", "in/a.jpg.tmp", "in/jpg")
    assert paths_of("in") == ["in/a.jpg"]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_extensions_are_known_in_any_case(here, extension):
    make(f"in/lower{extension}", f"in/UPPER{extension.upper()}")
    assert len(paths_of("in")) == 2


def test_hidden_files_and_folders_are_left_out(here):
    make("in/a.jpg", "in/.b.jpg", "in/.cache/c.jpg", "in/._a.jpg")
    assert paths_of("in") == ["in/a.jpg"]
    assert paths_of("in/.cache") == ["in/.cache/c.jpg"]


def test_linked_folders_are_followed_once(here):
    make("in/a/x.jpg", "elsewhere/y.jpg")
    Path("in/a/loop").symlink_to(here / "in")
    Path("in/b").symlink_to(here / "elsewhere")
    Path("in/c").symlink_to(here / "elsewhere")
    Path("in/self").symlink_to(here / "in/self")
    assert paths_of("in") == ["in/a/x.jpg", "in/b/y.jpg"]


def test_broken_link_in_a_folder_is_a_source_without_bytes(here):
    make("in/a.jpg")
    Path("in/b.jpg").symlink_to("gone.jpg")
    Path("c.jpg").symlink_to("gone.jpg")
    assert find_images(["in", "c.jpg"]) == [
        ImageRef("in/a.jpg", 5),
        ImageRef("in/b.jpg"),
        ImageRef("c.jpg"),
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_pipe_does_not_block(here):
    make("in/a.jpg")
    os.mkfifo("in/pipe.jpg")
    assert [source.bytes for source in find_images(["in", "in/pipe.jpg"])] == [5, 0]
    os.mkfifo("list.txt")
    with pytest.raises(UserError, match=r"list\.txt is not a regular file"):
        find_images(["list.txt"])


def test_pattern_finds_images_in_order(here):
    make("in/b1.jpg", "in/b0.png", "in/b2.txt", "in/sub/b3.jpg", "in/b4.jpg/c.jpg")
    assert paths_of("in/b*") == ["in/b0.png", "in/b1.jpg"]
    assert paths_of("in/**/b?.jpg") == ["in/b1.jpg", "in/sub/b3.jpg"]
    assert paths_of("in/b[1-9].*") == ["in/b1.jpg"]


def test_pattern_runs_around_a_loop_of_links_once(here):
    make("in/a/x.jpg", "in/y.jpg")
    Path("in/a/loop").symlink_to(here / "in")
    assert paths_of("in/**/*.jpg") == ["in/a/x.jpg", "in/y.jpg"]


def test_file_called_like_a_pattern_is_the_file(here):
    make("a[1].jpg", "a1.jpg")
    assert paths_of("a[1].jpg") == ["a[1].jpg"]


def test_pattern_without_match_is_an_error(here):
    make("in/a.txt")
    with pytest.raises(UserError, match=r"in/\*\.png matches no images: 0 matches"):
        find_images(["in/*.png"])
    with pytest.raises(UserError, match="1 matches, none of them"):
        find_images(["in/*"])


def test_missing_argument_is_named(here):
    make("a.jpg")
    with pytest.raises(UserError, match=r"photos/ does not exist; name an image, a folder"):
        find_images(["a.jpg", "photos/"])


def test_no_argument_is_an_error():
    with pytest.raises(UserError, match="No images are given"):
        find_images([])


def test_folder_without_images_says_what_was_there(here):
    make("in/a.txt", "in/b.txt", "in/c.docx", "in/README")
    with pytest.raises(
        UserError,
        match=r"in holds no images; .*\.jpg.*, and there were: 2 \.txt, 1 \.docx, 1 without a suffix\.",
    ):
        find_images(["in"])
    Path("empty").mkdir()
    with pytest.raises(UserError, match="no files"):
        find_images(["empty"])


def test_duplicates_are_dropped_and_the_order_kept(here):
    make("in/a.jpg", "in/b.jpg", "c.jpg")
    assert paths_of("in/b.jpg", "c.jpg", "in", "./c.jpg", "in/../c.jpg") == ["in/b.jpg", "c.jpg", "in/a.jpg"]


# ------------------------------------------------------------------------------------------------------ lists


def test_standard_input_gives_lines_or_null_separated_paths(here):
    make("a.jpg", "b\nc.jpg", "d.jpg")
    assert paths_of("-", stdin=io.StringIO("a.jpg\nd.jpg\n")) == ["a.jpg", "d.jpg"]
    assert paths_of("-", stdin=io.StringIO("a.jpg\0b\nc.jpg\0")) == ["a.jpg", "b\nc.jpg"]
    raw = io.TextIOWrapper(io.BytesIO(b"a.jpg\0d.jpg\0"), encoding="ascii")
    assert paths_of("-", stdin=raw) == ["a.jpg", "d.jpg"]
    with pytest.raises(UserError, match="standard input lists no images"):
        find_images(["-"], io.StringIO(""))


@needs_linux
def test_output_of_find_print0_is_read_whatever_the_names(here):
    name = os.fsdecode(b"caf\xe9 \n'\".jpg")
    make(f"in/{name}")
    code = "import sys\nfrom zeroiqa.images.find import find_images\nprint(ascii(find_images(['-'])[0].path))"
    listing = subprocess.run(["find", "in", "-type", "f", "-print0"], capture_output=True, check=True).stdout
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], input=listing, capture_output=True, check=True, env=environment
    )
    assert done.stdout.decode().strip() == ascii(f"in/{name}")


@needs_linux
def test_names_outside_utf_8_survive_folders_patterns_and_lists(here):
    name = os.fsdecode(b"caf\xe9.jpg")
    make(f"in/{name}")
    make("list.txt", content=b"in/caf\xe9.jpg\n")
    make("list.csv", content=b"path\nin/caf\xe9.jpg\n")
    for argument in ("in", "in/*.jpg", "list.txt", "list.csv"):
        (source,) = find_images([argument])
        assert source == ImageRef(f"in/{name}", 5)
    with pytest.raises(UserError) as caught:
        find_images([os.fsdecode(b"missing\xe9.jpg")])
    assert str(caught.value).encode()


def test_sidecar_prompts_are_read_on_request_only(here):
    make("in/a.png", "in/b.png")
    make("in/a.txt", content="a cät\n".encode())
    make("list.csv", content=b"path,prompt\nin/a.png,from the list\n")
    assert [source.prompt for source in find_images(["in"])] == [None, None]
    assert [source.prompt for source in find_images(["in"], sidecar_prompts=True)] == ["a cät", None]
    assert find_images(["list.csv"], sidecar_prompts=True)[0].prompt == "from the list"
    with Path("in/b.txt").open("wb") as file:
        file.truncate(1 << 34)
    with pytest.raises(UserError, match=r"in/b\.txt has 17179869184 bytes and would be a prompt"):
        find_images(["in"], sidecar_prompts=True)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="there are no file modes here")
@pytest.mark.parametrize("locked", ["in", "in/sub", "list.txt"])
def test_what_may_not_be_read_is_named(here, locked):
    make("in/a.jpg", "in/sub/b.jpg", "list.txt")
    here.chmod(0o755)
    Path(locked).chmod(0)
    code = f"""
import os
from zeroiqa.errors import UserError
from zeroiqa.images.find import find_images
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    for argument in ({locked.partition("/")[0]!r}, "in/**/*.jpg"):
        print([source.path for source in find_images([argument])])
except UserError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    Path(locked).chmod(0o755)
    if locked == "in/sub":
        assert done.stdout == "['in/a.jpg']\n" * 2
        said = "Passed over: 1 folder that cannot be listed: in/sub (Permission denied).\n"
        assert done.stderr == said * 2
    else:
        assert done.stdout.startswith(f"{locked} cannot be "), done.stderr
        assert "Permission denied; change its mode" in done.stdout


@needs_linux
def test_many_files_need_little_memory(here):
    resource = pytest.importorskip("resource")
    Path("in").mkdir()
    for number in range(5000):
        os.close(os.open(f"in/{number:06}.jpg", os.O_CREAT | os.O_WRONLY))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(find_images(["in"])) == 5000
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) / 5000 < 2  # KiB each: 100,000 files stay under 200 MB
