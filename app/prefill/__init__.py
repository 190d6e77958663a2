"""Measuring a language model's prefill on a server that its user runs: core and httpx alone."""
