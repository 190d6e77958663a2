"""Run the service's calls from a command line.

``--json`` prints the answer of the HTTP call; without it the command prints the same answer as
tables.
"""


def main() -> None:
    """Run ``crop-planner``; the entry point of the package."""
    import sys
    from io import TextIOWrapper

    from app.cli.application import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every encoding has a "×"
    app(prog_name="crop-planner")
