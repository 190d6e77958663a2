"""Answers as tables in a terminal."""
