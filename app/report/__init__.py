"""Experiments over data sets: what they are about, what was measured of them, what is written."""
