"""Measuring an encoder: warm-up, passes, the state of the machine, and the record."""
