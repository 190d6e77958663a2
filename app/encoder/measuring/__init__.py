"""Measure an encoder: calibration, warm-up, passes, the machine's state, and the record."""
