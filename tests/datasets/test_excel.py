"""Excel files that hang, crash or exhaust what reads them: each is one error that names the file."""

from __future__ import annotations

import pytest
import xlwt

from mammoseg_lib.datasets import DataError, inbreast
from mammoseg_lib.datasets.files import excel


@pytest.fixture
def path(tmp_path):
    book = xlwt.Workbook()
    sheet = book.add_sheet("a")
    for column, value in enumerate(("größer", 2.0, 2.5, "", True)):
        sheet.write(0, column, value)
    book.save(str(tmp_path / "INbreast.xls"))
    return tmp_path / "INbreast.xls"


def test_cells_are_text_as_they_look(path):
    assert excel.read_sheet(path) == [["größer", "2", "2.5", "", "True"]]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SCRIPT", "while True: pass", "takes more than 0.5 s"),
        ("SCRIPT", "import os; os.abort()", r"its reader ended with -\d"),
        ("MEMORY", 2**20, "cannot be read as an Excel file"),
        ("MAX_ROWS", 0, "claims 1 rows"),
    ],
)
def test_a_reader_that_hangs_aborts_or_takes_too_much_is_one_error(path, monkeypatch, name, value, reason):
    monkeypatch.setattr(excel, name, value)
    if "while" in str(value):
        monkeypatch.setattr(excel, "SECONDS", 0.5)
    with pytest.raises(DataError, match=reason) as error:
        excel.read_sheet(path)
    assert error.value.path == str(path)


@pytest.mark.parametrize("content", [b"", b"no", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)])
def test_a_damaged_table_refuses_the_release_and_is_named(path, content):
    path.write_bytes(content)
    (path.parent / "AllDICOMs").mkdir()
    (path.parent / "AllDICOMs" / "1.dcm").touch()
    with pytest.raises(DataError, match="cannot be read as an Excel file") as error:
        inbreast.scan(path.parent)
    assert error.value.path == str(path)
