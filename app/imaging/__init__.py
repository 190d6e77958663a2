"""Bytes to pixels within limits, and pixels to the bytes that were decided on."""
