"""HTTP: one file a resource. Errors become statuses in one table, ``problems.STATUS``."""
