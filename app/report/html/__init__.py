"""The report as HTML: tables, charts, pictures, and the templates that put them in order."""
