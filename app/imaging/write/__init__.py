"""Resize pixels, encode them into files, and verify the files."""
