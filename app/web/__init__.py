"""Hold the files of the page at ``/``, which calls the public API only (docs/decisions/page.md)."""
