"""Measure a language model's prefill on its server, with core and httpx alone."""
