"""Tables as people have them: one reader for lists of images, opinions and scores of other tools."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from zeroiqa.errors import UserError
from zeroiqa.files.tables.read import IMAGE_COLUMNS, is_blank, plain_number, read_table

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
        ("t.csv", b'sep=,\rpath,mos\rimages/a.jpg,1.5\r"images/b, c.jpg",2'),
        ("t.csv", b'\xef\xbb\xbf"sep=\t"\r\npath\tmos\r\nimages/a.jpg\t1.5\r\nimages/b, c.jpg\t2\r\n'),
        ("t.csv", "path;mos\r\nimages/a.jpg;1.5\r\nimages/b, c.jpg;2\r\n".encode("utf-16-le")),
        ("t.csv", "path|mos\nimages/a.jpg|1.5\nimages/b, c.jpg|2\n".encode("utf-16-be")),
        ("t.csv", "path;mos\nimages/a.jpg;1.5\nimages/b, c.jpg;2\n".encode("utf-32")),
        ("t.csv", b'# of 2020, by 20 people\n#\npath,mos\nimages/a.jpg,1.5\n"images/b, c.jpg",2\n'),
        ("t.csv", b'#,path,mos\n1,images/a.jpg,1.5\n2,"images/b, c.jpg",2\n'),
        ("t.csv", b'# path,mos\nimages/a.jpg,1.5\n"images/b, c.jpg",2\n'),
        ("t.csv", b'Ratings, 2020\n\npath;mos\nimages/a.jpg;1.5\n"images/b, c.jpg";2\n'),
        ("t.txt", b'path  mos\nimages/a.jpg 1.5\n"images/b, c.jpg" 2\n'),
        ("t.json", b'[{"path": "images/a.jpg", "mos": 1.5}, {"mos": 2, "path": "images/b, c.jpg"}]'),
        ("t.jsonl", b'[\n{"path": "images/a.jpg", "mos": 1.5},\n{"path": "images/b, c.jpg", "mos": 2}]'),
        ("t.json", b'{"path": "images/a.jpg", "mos": 1.5}\n{"path": "images/b, c.jpg", "mos": 2}\n'),
        ("t.json", b'{"path": ["images/a.jpg", "images/b, c.jpg"], "mos": [1.5, 2]}'),
        ("t.json", b'{"path": {"0": "images/a.jpg", "1": "images/b, c.jpg"}, "mos": {"0": 1.5, "1": 2.0}}'),
        (
            "t.json",
            b'{"info": {"year": 2020}, "categories": [{"id": 1}], "images": [{"path": "images/a.jpg", '
            b'"mos": 1.5}, {"path": "images/b, c.jpg", "mos": 2}]}',
        ),
        (
            "t.xlsx",
            workbook(("Ratings", None), (), ("path", "mos"), ("images/a.jpg", 1.5), ("images/b, c.jpg", "2")),
        ),
    ],
)
def test_one_table_in_every_dress(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    table = read_table(tmp_path / name)
    assert [row[-2:] for row in (table.header, *table.rows)] == list(ROWS)


def read(folder, content, name="t.csv"):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(folder / name)


def test_names_with_scores_or_records_are_tables_of_images(tmp_path):
    for content in ('{"a.jpg": 1.5, "b.jpg": null}', '{"a.jpg": {"score": 1.5}, "b.jpg": {"score": ""}}'):
        table = read(tmp_path, content, "t.json")
        assert (table.header, *table.rows) == (("image", "score"), ("a.jpg", "1.5"), ("b.jpg", ""))
    table = read(tmp_path, '{"7": {"file_name": "a.jpg", "mos": 1}}', "t.json")
    assert (table.header, *table.rows) == (("file_name", "mos"), ("a.jpg", "1"))
    assert read(tmp_path, '["a.jpg", "b.jpg"]', "t.json").rows == (("a.jpg",), ("b.jpg",))


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ("image;mos\na;1,5\nb;2,25\nc;-,5\n", [1.5, 2.25, -0.5]),
        ('image;mos\na;"3,142"\nb;"2,718"\n', [3.142, 2.718]),
        ("image;mos, mean;sd\na;1,5;0,1\nb;2,5;0,2\n", [1.5, 2.5]),
        ("image\tmos\na\t1,5\nb\t3\n", [1.5, 3]),
        ("image\tmos\na\t1,250\nb\t0,125\n", [1.25, 0.125]),
        ("sep=;\nimage;mos;\n\na;1,5;\nb;3;\n;;\n", [1.5, 3]),
        ("image,mos,sd\na,1.5,2\nb,1e-2,1\n", [1.5, 0.01]),
        ("image,mos\na, +2.5E1\nb,.5\n", [25, 0.5]),
        ("image;mos\na;\nb;N/A\nc;NaN\nd;#N/A\ne;-\nf;n.a.\ng;\u2013\n", [None] * 7),
        ("image,mos\na,1\n,mean of all\n", [1, None]),
    ],
)
def test_numbers_of_a_column(content, values, tmp_path):
    assert list(read(tmp_path, content).numbers(1, 0)) == values


NO_NUMBERS = ["1e999", "inf", "-Infinity", "1_0", "\u0663", "\uff13", "0x10", "three", "1.5.2", "1 5", "85%",
              "True", "1,234.5", "1.234,5", "1,234,567", "\u22121.5", "#DIV/0!", "1" * 5000]  # fmt: skip


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_is_no_plain_number_names_its_image_line_and_column(text, delimiter, tmp_path):
    table = read(tmp_path, f'image{delimiter}mos\na{delimiter}1\nb{delimiter}"{text}"\n')
    with pytest.raises(
        UserError, match=r"t\.csv gives b the score '.*' in line 3, column mos, which is no fin"
    ):
        table.numbers(1, 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("image;mos\na;1,5\nb;2.5\n", r"both 1,5 and 2\.5 in its column mos; write all numbers with a dec"),
        ("image\tmos\na\t1,234\nb\t2\n", "1,234 in its column mos, where the comma may part thousands or"),
        ('image,mos\na,"1,5"\n', "the score '1,5' in line 2, column mos, .* write decimals with a point"),
    ],
)
def test_a_number_that_is_not_certain_is_refused(content, said, tmp_path):
    with pytest.raises(UserError, match=said):
        read(tmp_path, content).numbers(1, 0)


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
        ("t.xls", b"\xd0\xcf\x11\xe0", r"an old or foreign workbook \(.*\); save it as .xlsx or as .csv"),
        ("t.xls", b"path\na", "an old or foreign workbook; save it as .xlsx or as .csv"),
        ("t.csv.gz", b"\x1f\x8b\x08", r"is compressed \(gzip\); unpack it first"),
        ("t.csv", b"\x28\xb5\x2f\xfd", r"is compressed \(zstd\); unpack it first"),
        ("t.csv", b"\xd0\xcf\x11\xe0", "an old or foreign workbook"),
        ("t.jsonl", b'{"a": 1}\n{"a":\n', "damaged in line 2"),
        ("t.jsonl", b"[1, 2]\n", "no object with an image"),
        ("t.jsonl", b'{"path": "a"}\n[1]\n', "no object in line 2"),
        ("t.json", b'{"path": ["a"], "mos": [1, 2]}', "columns of unequal length"),
        ("t.json", b'{"a": [{"path": "a"}], "b": [{"image": "b"}]}', "2 lists of images, a and b; leave one"),
        ("t.json", b'{"a.jpg": 1, "a.jpg": 2}', r"the key a\.jpg twice"),
        ("t.jsonl", b'{"path": "a", "mos": 1, "mos": 5}\n', "the key mos twice"),
        ("t.json", b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        ("t.json", b'{"path": "a", "mos": ' + b"1" * 5_000 + b"}", "damaged: Exceeds the limit"),
        ("t.json", b'"a.jpg"', "no object with an image"),
        ("t.json", b'{"path":', "damaged in line 1"),
        ("t.csv", b"path\ncaf\xe9.jpg\n", "is not UTF-8 text"),
        ("t.csv", b"\xff\xfea", "is not UTF-8 text"),
        ("t.parquet", b"PAR1", "damaged or no Parquet file"),
        ("t.csv", b'path,mos\na,"open' + b" word" * 50_000, "damaged near line .* is a quote missing"),
        ("t.csv", b'path,mos\n"a.jpg,1\nb.jpg,2\n', "damaged near line 2: a quote that begins there"),
        ("t.csv", b"path,mos\n" + b"a" * 200_000, "damaged near line 2: field larger than"),
        ("t.csv", b"path" + b",x" * 20_000, "a row of 20,001 cells, more than the 16,384 that are read"),
        (
            "t.jsonl",
            b"".join(b'{"path": "a", "%d": 1}\n' % n for n in range(17_000)),
            "a row of 17,001 cells",
        ),
        ("t.csv", b"path" + b",x" * 16_000 + b"\na" * 1_300, "more than the 20,000,000 cells that are read"),
        ("t.csv", b"", "is empty"),
        ("t.csv", b"\n\n \n", "is empty"),
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
    assert table.numbers(1, 0) == (None, 2, None)
    assert table.formulas == {(0, 1): "B2"}
    (said,) = table.formula_note([1])
    assert said.startswith("B2 of t.xlsx is a formula without a stored value")
    assert table.formula_note([0]) == ()


def test_blanks_and_numbers():
    assert all(map(is_blank, ("", " ", "NaN", "n/a", "None", "-")))
    assert not any(map(is_blank, ("0", "x")))
    assert plain_number(" 1.5 ") == 1.5 and plain_number("1,5") is None
    assert plain_number("1,5", decimal_comma=True) == 1.5
