"""Define ``serve``: run the HTTP service."""

from typing import Annotated

import typer

from app.cli.inputs import read_settings


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address; by default CROP_PLANNER_HOST, else 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; by default CROP_PLANNER_PORT, else 8000."),
    ] = None,
) -> None:
    """Run the HTTP service until a signal stops it."""
    settings = read_settings(host=host, port=port)
    from app import main  # late: it brings the web stack

    main.serve(settings)
