"""Figures of a data set: averages, shares, shapes, and published figures beside them."""
