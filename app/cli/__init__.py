"""The command line: what HTTP answers, for people at a terminal and for scripts.

``--json`` prints the answer of the HTTP call; without it the same answer is printed as tables.
"""


def main() -> None:
    """Run ``crop-planner``; the entry point of the package."""
    import sys
    from io import TextIOWrapper

    from app.cli.application import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a "×" is no reason to fail where it has no code
    app(prog_name="crop-planner")
