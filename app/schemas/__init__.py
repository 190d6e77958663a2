"""Define the answers of the service and of the command line. The package imports core alone."""
