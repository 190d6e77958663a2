import pytest

from app.report.html.elements import Table, table_of


def test_a_row_has_one_cell_a_heading():
    with pytest.raises(ValueError, match="one cell a heading"):
        Table("Table", ("A", "B>"), (("1", "2"), ("3",)))


def test_a_row_shows_one_value_and_the_present_setting_is_marked():
    table = table_of("Table", (("A", str), ("B>", lambda n: str(-n))), [1, 2], lambda n: n == 2)
    assert table == Table("Table", ("A", "B>"), (("1", "-1"), ("2", "-2")), frozenset({1}))
