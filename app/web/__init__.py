"""The page at ``/``: files for a browser, which calls the public API only. See docs/page.md."""
