"""The answers of the service and of the command line, as JSON schemas. Imports core alone."""
