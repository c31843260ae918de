"""Tar archives and Parquet lists as inputs, on the disk and in an object store."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from zeroiqa.errors import ImageError, UserError
from zeroiqa.images import archives
from zeroiqa.images.decode import decode
from zeroiqa.images.find import find_images
from zeroiqa.images.read import read
from zeroiqa.images.ref import ImageRef
from zeroiqa.images.selection import Selection
from zeroiqa.images.sieve import Sieve

MANY = 10**9


def tar(contents: dict[str, bytes], form: int = tarfile.PAX_FORMAT, mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=form) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def timeless(sources: list[ImageRef]) -> list[ImageRef]:
    return [source._replace(modified=None) for source in sources]


def picture(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(
        file, "PNG"
    )
    return file.getvalue()


# ------------------------------------------------------------------------------------- archives

LONG = "long/" + "x" * 200 + ".png"
CONTENTS = {
    "b.jpg": b"bb",
    "a.PNG": b"aaaa",
    LONG: b"long",
    "ä/ö.webp": b"umlaut",
    "a.txt": b"a prompt\n",
    "b.json": b"{}",
    "._a.png": b"hidden",
    "__MACOSX/a.png": b"hidden",
    "x/.cache/a.png": b"hidden",
    "./c.png": b"dot",
}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_images_in_the_order_of_the_archive(here, form):
    contents = {k: v for k, v in CONTENTS.items() if not (form == tarfile.USTAR_FORMAT and k == LONG)}
    Path("x.tar").write_bytes(tar(contents, form))
    sources = find_images(["x.tar"])
    images = [name for name in ("b.jpg", "a.PNG", LONG, "ä/ö.webp", "./c.png") if name in contents]
    assert [source.path for source in sources] == [f"x.tar/{name}" for name in images]
    assert {source.archive for source in sources} == {"x.tar"}
    assert [read(source, MANY) for source in sources] == [contents[name] for name in images]


def test_members_of_an_archive_in_a_store_are_read_by_range(bucket):
    contents = {f"{number:03}.png": os.urandom(30_000) for number in range(100)}
    address = bucket.put("shards/one.tar", tar(contents))
    sources = find_images([address])
    assert [source.path for source in sources] == [f"{address}/{name}" for name in contents]
    assert [read(source, MANY) for source in sources[::9]] == list(contents.values())[::9]


def test_text_beside_a_member_is_its_prompt(here):
    Path("x.tar").write_bytes(
        tar({"k/0.txt": b"zero\n", "k/0.jpg": b"1", "1.seg.jpg": b"1", "1.txt": b"one", "2.jpg": b"1"})
    )
    assert [source.prompt for source in find_images(["x.tar"])] == [None] * 3
    assert [s.prompt for s in find_images(["x.tar"], sidecar_prompts=True)] == ["zero", "one", None]
    Path("y.tar").write_bytes(tar({"0.jpg": b"1", "0.txt": b"\xff"}))
    with pytest.raises(UserError, match=r"y\.tar/0\.txt holds a prompt that is not UTF-8"):
        find_images(["y.tar"], sidecar_prompts=True)


def test_archives_are_matched_by_patterns_and_not_looked_for_in_folders(here):
    Path("in").mkdir()
    for name in ("b", "a"):
        Path(f"in/{name}.tar").write_bytes(tar({f"{name}.jpg": b"1"}))
    assert [s.path for s in find_images(["in/*.tar"])] == ["in/a.tar/a.jpg", "in/b.tar/b.jpg"]
    with pytest.raises(
        UserError, match=r"holds no images.*2 \.tar\. Name archives themselves \(in/\*\.tar\)"
    ):
        find_images(["in"])
    Path("in/ab.jpg").write_bytes(b"1")
    assert [s.path for s in find_images(["in/*"])] == ["in/a.tar/a.jpg", "in/ab.jpg", "in/b.tar/b.jpg"]
    assert [s.path for s in find_images(["in"])] == ["in/ab.jpg"]


@pytest.mark.parametrize(("name", "mode"), [("x.tar.gz", "w:gz"), ("x.tgz", "w:gz"), ("x.tar", "w:xz")])
def test_compressed_archives_are_refused(here, name, mode):
    Path(name).write_bytes(tar({"a.jpg": b"1"}, mode=mode))
    with pytest.raises(UserError, match=rf"{name} is compressed, .*; unpack it to \.tar"):
        find_images([name])


def test_damage_is_found_wherever_it_is(here):
    whole = tar({f"{number}.jpg": b"x" * 700 for number in range(4)}, tarfile.USTAR_FORMAT)
    used = 4 * (512 + 1024)
    for damaged in (
        b"",
        b"no archive at all" * 100,
        whole[:100],
        whole[: 512 + 300],
        whole[: used - 1024],
        whole[:used],
        whole[: 2 * 1536] + b"x" * 512 + whole[2 * 1536 + 512 :],
    ):
        Path("x.tar").write_bytes(damaged)
        with pytest.raises(UserError, match=r"x\.tar is damaged or cut off, or is no tar archive") as caught:
            find_images(["x.tar"])
        assert str(caught.value).isprintable()


def test_an_archive_without_images_is_an_error(here):
    Path("x.tar").write_bytes(tar({"a.txt": b"1"}))
    with pytest.raises(UserError, match=r"x\.tar holds no images; members with \.jpg"):
        find_images(["x.tar"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.data())
def test_any_change_of_an_archive_gives_members_or_a_user_error(here, data):
    whole = bytearray(tar({"a.jpg": b"1" * 600, "b.jpg": b"2"}, tarfile.USTAR_FORMAT))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, 2600))] = data.draw(st.integers(0, 255))
    Path("x.tar").write_bytes(whole)
    try:
        members = archives.members("x.tar", Sieve(Selection(), prompts=False))
    except UserError as error:
        assert str(error).isprintable()
    else:
        for member in members:
            assert len(read(member, MANY)) == member.bytes or not member.bytes


def test_an_archive_that_changed_since_the_plan_gives_errors_and_no_other_image(here):
    Path("x.tar").write_bytes(tar({"a.png": picture(0), "b.png": picture(1)}))
    first, second = timeless(find_images(["x.tar"]))
    assert decode(second).name == "x.tar/b.png"
    for changed in ({"b.png": picture(1)}, {"c.png": picture(0), "b.png": picture(1)}, {}):
        Path("x.tar").write_bytes(tar(changed))
        with pytest.raises(
            ImageError, match=r"x\.tar/a\.png is not where it was in the archive .* has changed"
        ):
            decode(first)
    Path("x.tar").unlink()
    with pytest.raises(ImageError, match=r"x\.tar/b\.png does not exist"):
        decode(second)


# ------------------------------------------------------------------------------------- changed files


def test_a_file_of_another_size_than_planned_is_an_error(here):
    Path("a.png").write_bytes(picture(0))
    size = Path("a.png").stat().st_size
    assert decode(ImageRef("a.png", size)).name == "a.png"
    assert decode(ImageRef("a.png", 0)).name == "a.png"  # not known, as in the plans of lists in a store
    with pytest.raises(
        ImageError,
        match=rf"a\.png has changed: it has {size} bytes and had {size + 1} when .*give the same command",
    ):
        decode(ImageRef("a.png", size + 1))


# ------------------------------------------------------------------------------------- Parquet lists


def parquet(**columns: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, row_group_size=2)
    return file.getvalue()


@pytest.mark.parametrize("column", ["path", "image", "FILE", "filename", " Name "])
def test_parquet_lists_have_a_column_of_paths_and_perhaps_prompts(here, column):
    for name in "abc":
        Path(f"{name}.jpg").write_bytes(b"123")
    content = parquet(**{"id": [1, 2, 3, 4], column: ["c.jpg", "a.jpg", None, "b.jpg"]})
    Path("l.parquet").write_bytes(content)
    assert timeless(find_images(["l.parquet"])) == [ImageRef(f"{name}.jpg", 3) for name in "cab"]
    texts = pa.array(["x", None, "y", ""]).dictionary_encode()
    Path("l.parquet").write_bytes(
        parquet(**{column: ["c.jpg", "a.jpg", "b.jpg", "none.jpg"], "prompt": texts})
    )
    assert [source.prompt for source in find_images(["l.parquet"])] == ["x", None, "y", None]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is damaged or no Parquet file"),
        (b"PAR1 and nothing else", "is damaged or no Parquet file"),
        (parquet(path=["a"])[:-20], "is damaged or no Parquet file"),
        (parquet(mos=[1.0]), "has no column of images; its columns are mos; name one of paths or bytes path"),
        (parquet(image=[{"bytes": "1"}]), "has no column of images; its columns are image;"),
        (parquet(path=["a"], prompt=[1]), "has the column prompt of type int64, which is no text"),
        (parquet(path=pa.array([], pa.string())), "lists no images"),
    ],
)
def test_what_is_no_list_is_refused(here, content, sentence):
    Path("l.parquet").write_bytes(content)
    with pytest.raises(UserError, match=rf"l\.parquet {sentence}") as caught:
        find_images(["l.parquet"])
    assert str(caught.value).isprintable()


# ------------------------------------------------------------------------------------- object stores


def test_a_prefix_is_listed_in_the_order_of_bytes_without_what_is_hidden(bucket):
    for name in ("b.jpg", "B.JPG", "a/z.png", "a-b.jpg", ".h.jpg", ".c/x.jpg", "d/._x.jpg", "n.txt", "ä.jpg"):
        bucket.put(f"in/{name}", b"12345")
    expected = ["B.JPG", "a-b.jpg", "a/z.png", "b.jpg", "ä.jpg"]
    for argument in (bucket.address("in"), bucket.address("in/")):
        found = timeless(find_images([argument]))
        assert found == [ImageRef(bucket.address(f"in/{name}"), 5, None) for name in expected]
    assert len(find_images([bucket.address("in"), bucket.address("in/b.jpg")])) == len(expected)
    assert [s.path for s in find_images([bucket.address("in/.c")])] == [bucket.address("in/.c/x.jpg")]


def test_patterns_lists_and_single_objects_are_found(bucket, here):
    for name in ("a/1.jpg", "a/b/2.jpg", "a/.h/3.jpg", "c.dat", "a/4.txt"):
        bucket.put(name, b"1")
    bucket.put("a/4.txt", b"1.jpg\n../c.dat\n" + bucket.address("a/b/2.jpg").encode())

    def found(argument: str) -> list[str]:
        return [source.path.removeprefix(bucket.address("")) for source in find_images([argument])]

    assert found(bucket.address("**/*.jpg")) == ["a/1.jpg", "a/b/2.jpg"]
    assert found(bucket.address("a/*.jpg")) == ["a/1.jpg"]
    assert found(bucket.address("a/*/2*")) == ["a/b/2.jpg"]
    assert found(bucket.address("c.dat")) == ["c.dat"]
    assert found(bucket.address("a/4.txt")) == ["a/1.jpg", "c.dat", "a/b/2.jpg"]
    Path("local.csv").write_text(f"path\n{bucket.address('a/1.jpg')}\n")
    assert found("local.csv") == ["a/1.jpg"]
    bucket.put("l.parquet", parquet(path=["a/1.jpg"], prompt=["p"]))
    assert find_images([bucket.address("l.parquet")]) == [ImageRef(bucket.address("a/1.jpg"), 0, "p")]


def test_sidecars_in_a_store_are_read(bucket):
    for number in range(20):
        bucket.put(f"in/{number:02}.jpg", b"1")
        if number % 2:
            bucket.put(f"in/{number:02}.txt", b"number %d\n" % number)
    prompts = [s.prompt for s in find_images([bucket.address("in")], sidecar_prompts=True)]
    assert prompts == [f"number {n}" if n % 2 else None for n in range(20)]


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("s3://{bucket}/none", "s3://{bucket}/none does not exist; name an image"),
        ("s3://{bucket}/none/*.jpg", "s3://{bucket}/none/\\*.jpg does not exist"),
        ("s3://{bucket}/in", "s3://{bucket}/in holds no images; .* there were: 1 .dat"),
        ("s3://{bucket}/in/*", "s3://{bucket}/in/\\* matches no images: 1 matches"),
        ("s3://no-such-bucket/in", "The bucket s3://no-such-bucket does not exist"),
        ("s3://*/in", "s3://\\*/in has no bucket before its first \\*"),
        ("s3://", "s3:// names no bucket"),
        ("s3://{bucket}/in/bad.tar", "s3://{bucket}/in/bad.tar is damaged or cut off"),
    ],
)
def test_what_is_not_there_is_named(bucket, argument, sentence):
    bucket.put("in/a.dat" if "bad" not in argument else "in/bad.tar", b"x" * 600)
    with pytest.raises(UserError, match=sentence.format(bucket=bucket.name)):
        find_images([argument.format(bucket=bucket.name)])


def test_an_object_is_decoded_by_its_address(bucket):
    address = bucket.put("in/ä 1.png", picture(3))
    assert decode(address).pixels.shape == (20, 30, 3)
    with pytest.raises(ImageError, match=r"none\.png does not exist"):
        decode(bucket.address("in/none.png"))
    with pytest.raises(ImageError, match=r"is empty \(0 bytes\)"):
        decode(bucket.put("in/empty.png", b""))
    with pytest.raises(ImageError, match="has an empty part"):
        decode(bucket.address("in//x.png"))


def test_headers_before_a_member_are_bounded_in_number_and_length(here):
    long = tarfile.TarInfo("././@LongLink")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 4
    chain = (long.tobuf(tarfile.GNU_FORMAT) + b"name".ljust(512, b"\0")) * 5000
    Path("deep.tar").write_bytes(chain + tar({"a.jpg": picture(1)}))
    with pytest.raises(
        UserError, match="is damaged or cut off, or is no tar archive .it is nested too deeply"
    ):
        archives.members("deep.tar", Sieve(Selection(), prompts=False))
    wide = tarfile.TarInfo("././@PaxHeader")
    wide.type, wide.size = tarfile.XHDTYPE, 3 << 30
    with Path("wide.tar").open("wb") as file:
        file.write(wide.tobuf(tarfile.GNU_FORMAT))
        file.truncate(4 << 30)
    with pytest.raises(UserError, match="a header of 3221225472 bytes before byte 512"):
        archives.members("wide.tar", Sieve(Selection(), prompts=False))


def test_a_text_that_is_too_long_for_a_prompt_is_not_read(here):
    Path("a.tar").write_bytes(tar({"a.jpg": picture(1), "a.txt": b"x" * ((1 << 20) + 1)}))
    with pytest.raises(UserError, match=r"a\.tar/a\.txt has 1048577 bytes and would be a prompt"):
        archives.members("a.tar", Sieve(Selection(), prompts=True))
    assert [each.member for each in archives.members("a.tar", Sieve(Selection(), prompts=False))] == ["a.jpg"]
