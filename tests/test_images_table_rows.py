"""Images in the rows of Parquet tables: found, named, read, protected against changes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import zeroiqa
from zeroiqa.errors import ChangedError, ImageError, UnreachableError, UserError
from zeroiqa.images import table_rows
from zeroiqa.images.find import find_images
from zeroiqa.images.read import pieces, read
from zeroiqa.images.selection import Selection
from zeroiqa.samples import folder

HUB = pa.struct({"bytes": pa.binary(), "path": pa.string()})
SAMPLES = sorted([*folder().glob("*.jpg"), *folder().glob("*.png")])
CONTENTS = [path.read_bytes() for path in SAMPLES]
LARGEST = 250_000_000


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, values: list[Any], kind: pa.DataType = HUB, name: str = "image", **more: Any) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    groups = more.pop("groups", 3)
    pq.write_table(pa.table({name: pa.array(values, kind), **more}), path, row_group_size=groups)


def hub(contents: list[bytes] = CONTENTS) -> list[Any]:
    return [{"bytes": content, "path": f"{row}.jpg"} for row, content in enumerate(contents)]


def test_every_row_is_an_image_in_order_with_its_prompt(here: Path) -> None:
    write("t.parquet", hub(), prompt=[f"photo {row}" if row else None for row in range(len(CONTENTS))])
    found = find_images(["t.parquet"])
    assert [ref.path for ref in found] == [f"t.parquet/{row}" for row in range(len(CONTENTS))]
    assert [ref.prompt for ref in found] == [None, *(f"photo {row}" for row in range(1, len(CONTENTS)))]
    assert [read(ref, LARGEST) for ref in found] == CONTENTS
    assert [b"".join(pieces(ref)) for ref in found] == CONTENTS


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (pa.binary(), "image"),
        (pa.large_binary(), "Image"),
        (pa.binary_view(), "img"),
        (pa.struct({"path": pa.large_string(), "bytes": pa.large_binary()}), "anything"),
        (pa.dictionary(pa.int32(), pa.binary()), "file"),
    ],
)
def test_every_type_that_holds_files_is_read(here: Path, kind: pa.DataType, name: str) -> None:
    values = hub() if isinstance(kind, pa.StructType) else CONTENTS
    write("t.parquet", values, kind, name)
    assert [read(ref, LARGEST) for ref in find_images(["t.parquet"])] == CONTENTS


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
def test_every_compression_is_read(here: Path, codec: str) -> None:
    table = pa.table({"image": pa.array(hub(), HUB)})
    pq.write_table(table, "t.parquet", compression=codec)
    assert [read(ref, LARGEST) for ref in find_images(["t.parquet"])] == CONTENTS


@pytest.mark.parametrize("groups", [1, 2, 1000])
def test_rows_are_read_in_any_order_and_by_many_threads(here: Path, groups: int) -> None:
    contents = [b"%d" % row * 9 for row in range(1, 200)]
    write("t.parquet", hub(contents), groups=groups)
    found = find_images(["t.parquet"])
    orders = [range(199), range(198, -1, -1), [(row * 67) % 199 for row in range(199)]]
    with ThreadPoolExecutor(8) as threads:
        for order in orders:
            assert list(threads.map(lambda row: read(found[row], LARGEST), order)) == [
                contents[row] for row in order
            ]


def test_a_null_row_is_an_error_and_a_null_file_with_a_path_is_that_file(here: Path) -> None:
    Path("data").mkdir()
    Path("data/a.jpg").write_bytes(CONTENTS[0])
    values = [
        None,
        {"bytes": None, "path": None},
        {"bytes": None, "path": "a.jpg"},
        {"bytes": b"", "path": ""},
        {"bytes": None, "path": "none.jpg"},
    ]
    write("data/t.parquet", values)
    found = find_images(["data/t.parquet"])
    for row, sentence in ((0, "has no image: the column image is empty in this row"), (1, "has no image"),
                          (3, "is empty \\(0 bytes\\)")):  # fmt: skip
        with pytest.raises(ImageError, match=rf"t\.parquet/{row} {sentence}"):
            read(found[row], LARGEST)
    assert read(found[2], LARGEST) == CONTENTS[0]
    with pytest.raises(UnreachableError, match=r"none\.jpg does not exist"):
        read(found[4], LARGEST)


def test_of_a_folder_without_images_its_tables_are_taken_in_order(here: Path) -> None:
    for part in (2, 0, 1):
        write(f"hub/data/train-{part}.parquet", hub(CONTENTS[part : part + 1]))
    Path("hub/README.md").write_text("a card")
    found = find_images(["hub"])
    assert [ref.path for ref in found] == [f"hub/data/train-{part}.parquet/0" for part in range(3)]
    assert find_images(["hub/data/*.parquet"]) == found
    assert find_images(["hub/**/*.parquet"]) == found
    (here / "hub/x.jpg").write_bytes(CONTENTS[0])
    assert [ref.path for ref in find_images(["hub"])] == ["hub/x.jpg"]
    assert [ref.path for ref in find_images(["hub/*"])] == ["hub/x.jpg"]


def test_a_folder_called_like_a_table_is_a_folder(here: Path) -> None:
    write("t.parquet/part-0.parquet", hub())
    assert find_images(["t.parquet"])[0].path == "t.parquet/part-0.parquet/0"


def test_the_tables_of_our_own_runs_are_no_images(here: Path) -> None:
    write("photos/t.parquet", hub())
    zeroiqa.run("photos", "photos/run")
    assert [ref.path for ref in find_images(["photos"])] == [f"photos/t.parquet/{row}" for row in range(7)]


def test_a_row_is_named_alone_also_in_a_list(here: Path) -> None:
    write("t.parquet", hub())
    assert read(find_images(["t.parquet/2"])[0], LARGEST) == CONTENTS[2]
    Path("l.txt").write_text("t.parquet/1\nt.parquet/4\n")
    assert [read(ref, LARGEST) for ref in find_images(["l.txt"])] == [CONTENTS[1], CONTENTS[4]]
    assert zeroiqa.score("t.parquet/0").score == zeroiqa.score(SAMPLES[0]).score
    for name in ("t.parquet/7", "t.parquet/x", "t.parquet/-1", "t.parquet/1.5"):
        with pytest.raises(UserError, match="has no such member"):
            find_images([name])


def test_rows_are_chosen_by_their_names(here: Path) -> None:
    write("t.parquet", hub())
    chosen = Selection.of(["3", "5"], ())
    assert [ref.member for ref in find_images(["t.parquet"], selection=chosen)] == ["3", "5"]


def test_the_column_is_said_where_several_could_be_it(here: Path) -> None:
    more = {"after": pa.array(hub(CONTENTS[::-1]), HUB)}
    write("t.parquet", hub(), name="before", **more)
    with pytest.raises(UserError, match="2 columns that could be the image, before and after"):
        find_images(["t.parquet"])
    found = find_images(["t.parquet"], image_column="after")
    assert read(found[0], LARGEST) == CONTENTS[-1]
    Path("l.csv").write_text("a,b\n1,x.jpg\n")
    Path("x.jpg").write_bytes(CONTENTS[0])
    assert [ref.path for ref in find_images(["l.csv"], image_column="b")] == ["x.jpg"]
    with pytest.raises(UserError, match="l.csv has no column c; its columns are a, b"):
        find_images(["l.csv"], image_column="c")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([], "t.parquet has no rows, so no images"),
        ([None, {"bytes": None, "path": None}], "its column image is empty in all 2 rows"),
    ],
)
def test_a_table_without_images_is_refused(here: Path, values: list[Any], sentence: str) -> None:
    write("t.parquet", values)
    with pytest.raises(UserError, match=sentence):
        find_images(["t.parquet"])


def test_parts_that_lack_the_column_are_refused_by_their_names(here: Path) -> None:
    write("d/a.parquet", hub())
    write("d/b.parquet", [1, 2], pa.int64(), "n")
    with pytest.raises(UserError, match=r"d/b\.parquet has no column of images; its columns are n"):
        find_images(["d"])


def test_a_table_that_is_written_again_is_noticed(here: Path) -> None:
    write("t.parquet", hub())
    found = find_images(["t.parquet"])
    assert read(found[6], LARGEST) == CONTENTS[6]
    write("t.parquet", hub(CONTENTS[:2]))
    os.utime("t.parquet", ns=(1, 1))
    with pytest.raises(ChangedError, match="its table has another modification time"):
        read(found[0], LARGEST)
    with pytest.raises(ChangedError, match="is not there any more"):
        read(found[6], LARGEST)
    Path("t.parquet").unlink()
    with pytest.raises(UnreachableError, match="does not exist"):
        read(found[0], LARGEST)


def test_a_damaged_page_is_an_error_of_its_rows(here: Path) -> None:
    contents = [os.urandom(3000) for _ in range(40)]
    table = pa.table({"image": pa.array(hub(contents), HUB)})
    pq.write_table(table, "t.parquet", row_group_size=10, compression="zstd")
    found = find_images(["t.parquet"])
    data = bytearray(Path("t.parquet").read_bytes())
    at = pq.ParquetFile("t.parquet").metadata.row_group(2).column(0).data_page_offset
    data[at : at + 4000] = bytes(4000)
    times = Path("t.parquet").stat()
    Path("t.parquet").write_bytes(data)
    os.utime("t.parquet", ns=(times.st_atime_ns, times.st_mtime_ns))
    table_rows._table.cache_clear()
    with pytest.raises(UnreachableError, match=r"t\.parquet/25 cannot be read: the table is damaged there"):
        read(found[25], LARGEST)
    assert read(found[9], LARGEST) == contents[9]
    assert read(found[35], LARGEST) == contents[35]


def test_a_run_of_a_table_scores_as_its_files_do_and_goes_on(here: Path) -> None:
    write("t.parquet", hub())
    run = zeroiqa.run("t.parquet", "run", image_column="image", workers=2)
    assert [each.score for each in run.scores()] == [zeroiqa.score(path).score for path in SAMPLES]
    said: list[str] = []
    zeroiqa.run("t.parquet", "run", image_column="image", on_message=said.append)
    assert any("Nothing was to do" in sentence for sentence in said)
    with pytest.raises(UserError):
        zeroiqa.run("t.parquet", "run", image_column="path")


def test_a_run_follows_a_folder_of_tables(here: Path) -> None:
    write("d/a.parquet", hub(CONTENTS[:2]))
    zeroiqa.run("d", "run")
    write("d/b.parquet", hub(CONTENTS[2:4]))
    run = zeroiqa.run("d", "run")
    assert [each.path for each in run.scores()] == [
        "d/a.parquet/0", "d/a.parquet/1", "d/b.parquet/0", "d/b.parquet/1"
    ]  # fmt: skip
