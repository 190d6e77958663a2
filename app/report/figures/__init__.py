"""Compute the figures of a data set."""
