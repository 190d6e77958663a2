"""Measure an encoder: its pace, its passes, the machine, and the record."""
