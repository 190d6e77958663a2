"""Admission, the worker that owns the device, and the orchestration of a request."""
