"""Write the report as HTML: tables, charts, pictures and one template."""
