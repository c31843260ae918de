"""Tables as people have them: one reader for lists of images, opinions and scores of other tools."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from zeroiqa.errors import UserError
from zeroiqa.tabular import IMAGE_COLUMNS, is_blank, number, read_table

ROWS = (("path", "mos"), ("images/a.jpg", "1.5"), ("images/b, c.jpg", "2"))


def workbook(*rows) -> bytes:
    book = Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(list(row))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    columns = {"path": ["images/a.jpg", "images/b, c.jpg"], "mos": [1.5, 2.0]}
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b'path,mos\nimages/a.jpg,1.5\n"images/b, c.jpg",2\n'),
        ("t.csv", b'path, mos\n images/a.jpg, 1.5\n "images/b, c.jpg", 2\n'),
        ("t.csv", b"path;mos\nimages/a.jpg;1.5\nimages/b, c.jpg;2\n"),
        ("t.csv", b"path\tmos\nimages/a.jpg\t1.5\nimages/b, c.jpg\t2\n"),
        ("t.tsv", b'path,mos\nimages/a.jpg,1.5\n"images/b, c.jpg",2\n'),
        ("t.csv", b"sep=;\r\npath;mos\r\nimages/a.jpg;1.5\r\nimages/b, c.jpg;2\r\n"),
        ("t.csv", "path\tmos\nimages/a.jpg\t1.5\nimages/b, c.jpg\t2\n".encode("utf-16")),
        ("t.csv", b'\xef\xbb\xbf\n\npath,mos\n\nimages/a.jpg,1.5\n"images/b, c.jpg",2\n\n'),
        ("t.jsonl", b'{"path": "images/a.jpg", "mos": 1.5}\n\n{"mos": 2, "path": "images/b, c.jpg"}\n'),
        ("t.xlsx", workbook(("path", "mos"), ("images/a.jpg", 1.5), ("images/b, c.jpg", 2))),
        ("t.csv", workbook(("path", "mos"), ("images/a.jpg", 1.5), ("images/b, c.jpg", 2))),
        ("t.parquet", parquet()),
    ],
)
def test_one_table_in_every_dress(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    table = read_table(tmp_path / name)
    assert (table.header, *table.rows) == ROWS


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ("image;mos\na;1,5\nb;2,25\nc;-,5\n", [1.5, 2.25, -0.5]),
        ("image\tmos\na\t1,5\nb\t3\n", [1.5, 3]),
        ("image,mos,sd\na,1.5,2\nb,1e-2,1\n", [1.5, 0.01]),
        ("image;mos\na;\nb;N/A\nc;NaN\nd;#N/A\n", [None, None, None, None]),
    ],
)
def test_numbers_by_what_ends_the_cells(content, values, tmp_path):
    (tmp_path / "t.csv").write_text(content)
    table = read_table(tmp_path / "t.csv")
    assert [table.number(row, 1) for row in range(len(table.rows))] == values


@pytest.mark.parametrize(
    "text", ["1e999", "inf", "-Infinity", "1_000", "0x10", "three", "1,5", "1.5.2", "1 5"]
)
def test_what_is_no_finite_number_names_its_line_and_column(text, tmp_path):
    (tmp_path / "t.csv").write_text(f'image,mos\na,1\nb,"{text}"\n')
    with pytest.raises(UserError, match=r"t\.csv has '.*' in line 3, column mos, which is no finite number"):
        read_table(tmp_path / "t.csv").number(1, 1)


def test_decimal_commas_and_points_in_one_column_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("image;mos\na;1,5\nb;2.5\n")
    with pytest.raises(UserError, match=r"both 1,5 and 2\.5 in its column mos"):
        read_table(tmp_path / "t.csv").check_decimals(1)


def test_a_row_that_is_wider_than_the_header_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("image,mos\na,1,\nb,2,5\n")
    with pytest.raises(UserError, match=r"3 cells in line 3 and 2 in its header; put quotes around"):
        read_table(tmp_path / "t.csv")


def test_a_single_column_is_not_cut_at_its_commas(tmp_path):
    (tmp_path / "t.csv").write_text("path\nholiday, 2020.jpg\n")
    assert read_table(tmp_path / "t.csv").rows == (("holiday, 2020.jpg",),)


@pytest.mark.parametrize("name", [*IMAGE_COLUMNS, "File_Name", "Image name", "ImageName", "IMG-PATH"])
def test_the_image_s_column_goes_by_many_names(name, tmp_path):
    (tmp_path / "t.csv").write_text(f"id,{name},mos\n1,a,2\n")
    assert read_table(tmp_path / "t.csv").column(IMAGE_COLUMNS, "images") == 1


def test_two_columns_that_fit_are_both_named(tmp_path):
    (tmp_path / "t.csv").write_text("path,Image_Name\na,b\n")
    with pytest.raises(UserError, match="2 columns of images, path and Image_Name; leave one of them"):
        read_table(tmp_path / "t.csv").column(IMAGE_COLUMNS, "images")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.xls", b"\xd0\xcf\x11\xe0", "an old or foreign workbook; save it as .xlsx or as .csv"),
        ("t.csv", b"\xd0\xcf\x11\xe0", "an old or foreign workbook"),
        ("t.jsonl", b'{"a": 1}\n{"a":\n', "damaged in line 2"),
        ("t.jsonl", b"[1, 2]\n", "no object in line 1"),
        ("t.csv", b"path\ncaf\xe9.jpg\n", "is not UTF-8 text"),
        ("t.csv", b"\xff\xfea", "is not UTF-8 text"),
        ("t.parquet", b"PAR1", "damaged or no Parquet file"),
        ("t.csv", b'path,mos\na,"open' + b" word" * 50_000, "damaged near line .* is a quote missing"),
        ("t.csv", b"", "is empty"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(name, content, said, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        read_table(tmp_path / name)
    assert str(caught.value).isprintable()


def test_formulas_without_a_value_are_named_and_those_with_one_are_read(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(workbook(("image", "mos"), ("a", "=1+1"), ("b", 2), ("c", None)))
    table = read_table(tmp_path / "t.xlsx")
    assert [table.number(row, 1) for row in range(3)] == [None, 2, None]
    assert table.formulas == {(0, 1): "B2"}
    (said,) = table.formula_note([1])
    assert said.startswith("B2 of t.xlsx is a formula without a stored value")
    assert table.formula_note([0]) == ()


def test_blanks_and_numbers():
    assert all(map(is_blank, ("", " ", "NaN", "n/a", "None", "-")))
    assert not any(map(is_blank, ("0", "x")))
    assert number(" 1.5 ") == 1.5 and number("1,5") is None and number("1,5", decimal_comma=True) == 1.5
