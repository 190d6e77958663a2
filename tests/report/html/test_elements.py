import pytest

from app.report.html.elements import Table


def test_a_row_has_one_cell_a_heading():
    with pytest.raises(ValueError, match="one cell a heading"):
        Table.of("Table", ("A", "B>"), [("1", "2"), ("3",)])


def test_columns_of_numbers_are_marked():
    table = Table.of("Table", ("A", "B>"), [("1", "2")])
    assert [(one.heading, one.is_number) for one in table.columns] == [("A", False), ("B", True)]
