"""Print answers as tables in a terminal."""
