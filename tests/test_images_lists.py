"""Lists of images: text, and tables as people have them."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from tests.database_layouts import put_xlsx
from tests.test_images_find import find_images, make, paths_of
from zeroiqa.errors import UserError
from zeroiqa.images.ref import ImageRef


def test_text_list_is_relative_to_its_folder_then_to_the_current_one(here):
    make("in/a.jpg", "b.jpg", "in/c.jpg", "c.jpg", content=b"1")
    make("in/c.jpg")
    make("in/list.txt", content=b"a.jpg\nb.jpg\n\nc.jpg\r\nmissing.jpg\n")
    assert find_images(["in/list.txt"]) == [
        ImageRef("in/a.jpg", 1),
        ImageRef("b.jpg", 1),
        ImageRef("in/c.jpg", 5),
        ImageRef("in/missing.jpg"),
    ]


def test_every_character_of_a_listed_path_counts(here):
    names = ["# not a comment.jpg", " leading.jpg", "trailing ", '"quoted".jpg', "a*b.jpg"]
    make(*names)
    make("list.lst", content="\n".join(names).encode())
    assert find_images(["list.lst"]) == [ImageRef(name, 5) for name in names]


def test_absolute_paths_are_listed_as_they_are(here):
    make("a.jpg")
    make("in/list.txt", content=str(here / "a.jpg").encode())
    assert paths_of("in/list.txt") == [str(here / "a.jpg")]


@pytest.mark.parametrize("column", ["path", "image", "file", "filename", "name", "Path", " IMAGE "])
def test_csv_column_of_paths_goes_by_several_names(here, column):
    make("a.jpg")
    make("list.csv", content=f"id,{column}\n1,a.jpg\n".encode())
    assert find_images(["list.csv"]) == [ImageRef("a.jpg", 5)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", b"id, path, mos\n1, in/a.jpg, 3\n2, in/b, 4\n"),
        ("l.csv", b"path\tmos\nin/a.jpg\t1\nin/b\t2\n"),
        ("l.csv", b"Image_Name;MOS\n in/a.jpg;1\nin\\b;2\n"),
        ("metadata.csv", b"file_name,mos\nin/a.jpg,1\nin/b,\n"),
        ("l.jsonl", b'{"file_name": "in/a.jpg"}\n{"file_name": "in/b"}\n'),
        ("l.txt", b" in/a.jpg\nin/b \n"),
        ("l.txt", b"in/a.jpg\rin/b\r"),
        ("l.txt", b"in/a.jpg\0in/b\0"),
        ("l.txt", "in/a.jpg\r\nin/b\r\n".encode("utf-16-le")),
        ("l.txt", b"id\tfile_name\n1\tin/a.jpg\n2\tin/b\n"),
        ("l.csv", b"image_key;gt_score\nin/a.jpg;1,5\nin/b;2,5\n"),
        ("l.csv", b"filepath,mos\nfile:%(here)s/in/a.jpg,1\nfile://localhost%(here)s/in/%%62,2\n"),
        ("l.txt", b"file://%(here)s/in/a%%2Ejpg\nfile://%(here)s/in/b\n"),
        ("l.csv", b"name\nin/a\nin/b\n"),
        ("l.json", b'[{"image": "in/a.jpg"}, {"image": "in/b"}]'),
        ("l.json", b'{"in/a.jpg": 1, "in/b": 2}'),
        ("l.jsonl", b'["in/a.jpg", "in/b"]'),
    ],
)
def test_lists_are_read_as_people_have_them(here, name, content):
    make("in/a.jpg", "in/b")
    make(name, content=content % {b"here": os.fsencode(here)} if b"file:" in content else content)
    found = [(Path(source.path).absolute(), source.bytes) for source in find_images([name])]
    assert found == [(here / "in/a.jpg", 5), (here / "in/b", 5)]


def test_a_listed_name_without_suffix_or_folder_is_the_one_image_of_that_name(here, caplog):
    make("in/a.v1.JPG", "in/a.txt", "b.png", "in/c.jpg", "in/c.png", "in/d/e.jpg", "in/d/f.png", "in/f/f.png")
    make("in/l.csv", content=b"name\na.v1\nb\nd\ne.jpg\ne\ngone.jpg\n")
    assert paths_of("in/l.csv") == ["in/a.v1.JPG", "b.png", "in/d", "in/d/e.jpg", "in/gone.jpg"]
    assert caplog.messages == [
        "Names of in/l.csv that lack a suffix or a folder: 4; each means the one image that is called so "
        "(a.v1 is in/a.v1.JPG, b is b.png, e.jpg is in/d/e.jpg and 1 more)."
    ]
    make("l.csv", content=b"name\ne.jpg\na.v1\n")
    assert paths_of("l.csv") == ["in/d/e.jpg", "in/a.v1.JPG"]
    for name, said in (("c", r"c may be in/c\.jpg or in/c\.png"), ("f.png", r"f\.png may be in/d/f\.png or")):
        make("in/l.csv", content=f"name\n{name}\n".encode())
        with pytest.raises(UserError, match=f"{said}.*; write their whole paths"):
            find_images(["in/l.csv"])


def test_a_first_line_that_may_be_a_path_is_no_header(here):
    make("image, a.jpg", "path")
    make("l.txt", content=b"image, a.jpg\npath\n")
    assert paths_of("l.txt") == ["image, a.jpg", "path"]


def test_a_workbook_of_two_sheets_says_which_one_is_read(here, caplog):
    make("a.jpg")
    book = Workbook()
    assert book.active is not None
    book.active.append(["image"])
    book.active.append(["a.jpg"])
    book.create_sheet("more")
    book.save("l.xlsx")
    assert paths_of("l.xlsx") == ["a.jpg"]
    assert "Of the 2 sheets of l.xlsx the first is read, Sheet, not more." in caplog.text


def test_text_of_a_parquet_file_that_is_no_text_is_one_sentence(here):
    column = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    )
    pq.write_table(pa.table({"path": column}), "l.parquet")
    with pytest.raises(UserError, match=r"l\.parquet is damaged or no Parquet file \(.*codec can't decode"):
        find_images(["l.parquet"])


@pytest.mark.parametrize("name", ["l.txt", "l.csv", "l.json"])
def test_a_list_that_does_not_fit_into_memory_is_refused(here, name):
    with Path(name).open("wb") as file:
        file.truncate(10 << 30)  # no block of it is written
    with pytest.raises(
        UserError, match=r"larger than the 256 MiB that are read of a list or table; split it"
    ):
        find_images([name])


def test_a_workbook_is_a_list(here):
    make("a.jpg")
    put_xlsx(here / "l.xlsx", ("image", "prompt"), ("a.jpg", "a cat"))
    assert find_images(["l.xlsx"]) == [ImageRef("a.jpg", 5, "a cat")]
    put_xlsx(here / "l.xlsx", ("image",), ("=A3",))
    with pytest.raises(UserError, match=r"l\.xlsx has a formula without a stored value in A2"):
        find_images(["l.xlsx"])


def test_the_text_beside_a_file_name_of_hugging_face_is_the_prompt(here):
    make("a.jpg")
    make("metadata.csv", content=b"file_name,text\na.jpg,a cat\n")
    make("other.csv", content=b"path,text\na.jpg,a remark\n")
    assert find_images(["metadata.csv"]) == [ImageRef("a.jpg", 5, "a cat")]
    assert find_images(["other.csv"]) == [ImageRef("a.jpg", 5)]


def test_two_columns_of_paths_are_refused(here):
    make("list.csv", content=b"path,image_name\na.jpg,b.jpg\n")
    with pytest.raises(UserError, match=r"list\.csv has 2 columns of paths, path and image_name"):
        find_images(["list.csv"])


def test_csv_gives_prompts(here):
    make("a.jpg", "b,c.jpg", "d.jpg")
    make("list.csv", content=b'prompt,path\n"a cat, asleep\non a sofa",a.jpg\n,"b,c.jpg"\nplain,d.jpg\n')
    assert [source.prompt for source in find_images(["list.csv"])] == [
        "a cat, asleep\non a sofa",
        None,
        "plain",
    ]
    assert paths_of("list.csv") == ["a.jpg", "b,c.jpg", "d.jpg"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.tsv", b"path\tprompt\na.jpg\tdog\n"),
        ("l.csv", b"path;prompt\na.jpg;dog\n"),
        ("l.csv", "\ufeffpath,prompt\r\na.jpg,dog\r\n".encode()),
        ("l.CSV", "path,prompt\na.jpg,dog".encode("utf-16")),
    ],
)
def test_dialects_of_spreadsheets_are_read(here, name, content):
    make("a.jpg")
    make(name, content=content)
    assert find_images([name]) == [ImageRef("a.jpg", 5, "dog")]


def test_short_and_empty_rows_of_a_csv_are_passed_over(here):
    make("a.jpg")
    make("list.csv", content=b"id,path,prompt\n\n7\n8,\n9,a.jpg\n")
    assert find_images(["list.csv"]) == [ImageRef("a.jpg", 5)]


def test_empty_csv_is_an_error(here):
    make("list.csv", content=b"")
    with pytest.raises(UserError, match=r"list\.csv is empty; a table with a header is expected"):
        find_images(["list.csv"])


@pytest.mark.parametrize("content", [b"a.jpg\nb.jpg\n", b"score,mos\n1,2\n"])
def test_csv_without_a_column_of_paths_is_an_error(here, content):
    make("list.csv", content=content)
    with pytest.raises(
        UserError, match=r"list\.csv has no column of paths; .*path, image, file, filename, name"
    ):
        find_images(["list.csv"])


def test_prompt_outside_utf_8_is_an_error(here):
    make("a.png")
    make("list.csv", content=b"path,prompt\na.png,caf\xe9\n")
    make("a.txt", content=b"caf\xe9")
    with pytest.raises(UserError, match=r"list\.csv holds a prompt that is not UTF-8"):
        find_images(["list.csv"])
    with pytest.raises(UserError, match=r"a\.txt holds a prompt that is not UTF-8"):
        find_images(["a.png"], sidecar_prompts=True)


def test_missing_quote_in_a_csv_is_an_error(here):
    make("list.csv", content=b'path,prompt\na.jpg,"open' + b" word" * 50_000)
    with pytest.raises(UserError, match=r"list\.csv is damaged near line .* is a quote missing"):
        find_images(["list.csv"])


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x85", "\u2028"])
def test_only_line_feeds_end_lines(here, separator):
    name = f"a{separator}b.jpg"
    make(name)
    make("l.txt", content=name.encode())
    make("l.csv", content=f"path\n{name}\n".encode())
    assert paths_of("l.txt") == paths_of("l.csv") == [name]


@pytest.mark.parametrize(("name", "content"), [("l.txt", b""), ("l.txt", b"\n\n"), ("l.csv", b"path\n")])
def test_list_without_images_is_an_error(here, name, content):
    make(name, content=content)
    with pytest.raises(UserError, match="lists no images"):
        find_images([name])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from(["l.txt", "l.csv", "l.tsv", "l.json", "l.xlsx", "l.parquet"]))
def test_any_bytes_as_a_list_give_sources_or_a_user_error(here, content, name):
    Path(name).write_bytes(content)
    try:
        sources = find_images([name])
    except UserError as error:
        assert str(error).isprintable()
    else:
        assert sources


def test_a_bare_name_means_an_image_that_a_search_of_the_folder_would_find(here):
    for name in ("in/sub/a.jpg", "in/@eaDir/a.jpg", "in/.hidden/a.jpg"):
        Path(name).parent.mkdir(parents=True)
        Path(name).write_bytes(b"12345")
    Path("in/list.txt").write_text("a.jpg\na\n")
    assert [ref.path for ref in find_images(["in/list.txt"])] == ["in/sub/a.jpg"]
