"""Workbooks as people and programs save them, and those that no program saves."""

from __future__ import annotations

import datetime
import io
import zipfile

import pytest
from openpyxl import Workbook

from zeroiqa.errors import UserError
from zeroiqa.files.tables import rows as table_rows
from zeroiqa.files.tables.read import Table, read_table

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
SPREADSHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def saved(book: Workbook) -> bytes:
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def raw(rows: bytes, strings: bytes = b"", kind: bytes = b"") -> bytes:
    """A workbook of given XML: the rows of its sheet, its shared strings, what precedes these."""
    parts = {
        "[Content_Types].xml": f'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        f'<Override PartName="/xl/workbook.xml" ContentType="{SPREADSHEET}.sheet.main+xml"/>'
        f'<Override PartName="/xl/sharedStrings.xml" ContentType="{SPREADSHEET}.sharedStrings+xml"/>'
        "</Types>".encode(),
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}/relationships"><sheets>'
        '<sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>'.encode(),
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{RELATIONS}"><Relationship Id="r1" '
        f'Type="{OFFICE}/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'.encode(),
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"/>'.encode(),
        "xl/sharedStrings.xml": kind + f'<sst xmlns="{MAIN}">'.encode() + strings + b"</sst>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>'.encode()
        + rows
        + b"</sheetData></worksheet>",
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name in names:
            made.writestr(name, b"")
    return file.getvalue()


def read(folder, content: bytes) -> Table:
    (folder / "t.xlsx").write_bytes(content)
    return read_table(folder / "t.xlsx")


def text(*cells: str) -> bytes:
    inside = "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in cells)
    return f"<row>{inside}</row>".encode()


def test_numbers_as_text_titles_merged_cells_and_hidden_rows_are_read(tmp_path):
    book = Workbook()
    page = book.active
    assert page is not None
    for row in (("Ratings of 2020", None), (), (" Image Name ", "MOS"), ("a", "1,5"), ("b", " 2 "), ("c", 3)):
        page.append(list(row))
    page.merge_cells("A1:B1")
    page.row_dimensions[5].hidden = True
    book.create_sheet("Notes").append(["path", "mos"])
    table = read(tmp_path, saved(book))
    assert table.header == ("Image Name", "MOS") and table.numbers(1, 0) == (1.5, 2, 3)
    assert table.notes == (
        "Of the 2 sheets of t.xlsx the first is read, Sheet, not Notes.",
        "Hidden rows of t.xlsx, which count like those that are shown: 1.",
    )


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (
            datetime.datetime(2020, 5, 1),
            r"the score '2020-05-01 00:00:00' in row 2, column mos, which is a date",
        ),
        (True, "the score 'True' in row 2"),
        ("#DIV/0!", "the score '#DIV/0!' in row 2"),
        ("1,234", "where the comma may part thousands or decimals"),
    ],
)
def test_what_is_no_number_in_a_sheet_is_refused(cell, said, tmp_path):
    book = Workbook()
    assert book.active is not None
    book.active.append(["image", "mos"])
    book.active.append(["a", cell])
    with pytest.raises(UserError, match=said):
        read(tmp_path, saved(book)).numbers(1, 0)


def test_a_formula_with_its_value_is_read_and_one_without_is_named(tmp_path):
    rows = text("image", "mos") + (
        b'<row><c t="str"><v>a</v></c><c><f>1+1</f><v>2</v></c></row>'
        b'<row><c t="str"><v>b</v></c><c><f>1+2</f></c></row>'
    )
    table = read(tmp_path, raw(rows))
    assert table.numbers(1, 0) == (2, None)
    (said,) = table.formula_note([1])
    assert said.startswith("B3 of t.xlsx is a formula without a stored value")


def laughing() -> bytes:
    """Entities of entities: a gigabyte, if a parser expands them."""
    entities = b"".join(b'<!ENTITY a%d "%s">' % (n + 1, b"&a%d;" % n * 10) for n in range(9))
    return raw(b"", b"<si><t>&a9;</t></si>", b'<!DOCTYPE a [<!ENTITY a0 "a">' + entities + b"]>")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: raw(b"<row/>" * 1_100_000), "a sheet of more than the 1,048,576 rows that Excel has; save"),
        (lambda: raw(text("image") + b'<row r="2000000000"/>'), "more than the 1,048,576 rows"),
        (lambda: raw(b"<row>" + b"<c/>" * 20_000 + b"</row>"), "has a row of 16,385 cells"),
        (lambda: raw(b"", b"<si>" * 35_000_000), "unpacks to more than is read of a workbook"),
        (laughing, "cannot be read as an xlsx file"),
        (lambda: raw(b'<row><c t="s"><v>7</v></c></row>'), "cannot be read as an xlsx file"),
        (
            lambda: archive("xl/workbook.bin", "[Content_Types].xml"),
            r"a binary workbook \(.xlsb\); save it as",
        ),
        (
            lambda: archive("mimetype", "content.xml"),
            r"an OpenDocument file \(.ods\); save it as .xlsx or as",
        ),
        (lambda: archive("t.csv"), "a zip archive, no workbook; unpack it and name the table that is in it"),
        (lambda: archive("[Content_Types].xml"), "cannot be read as an xlsx file"),
        (lambda: raw(text("image"))[:-30], "cannot be read as an xlsx file"),
        (lambda: raw(b""), "is empty; a table with a header is expected"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(make, said, tmp_path):
    with pytest.raises(UserError, match=said) as caught:
        read(tmp_path, make())
    assert str(caught.value).isprintable()


def test_cells_that_a_wide_sheet_implies_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(table_rows, "MAX_CELLS", 200_000)
    with pytest.raises(UserError, match="more than the 200,000 cells that are read"):
        read(tmp_path, raw(b'<row><c r="XFD1"/></row>' * 20))


def test_the_raw_workbooks_of_these_tests_can_be_read(tmp_path):
    assert read(tmp_path, raw(text("image", "mos") + text("a", "1"))).rows == (("a", "1"),)
