"""Hold the commands, with the tables of one command alone beside the command."""
