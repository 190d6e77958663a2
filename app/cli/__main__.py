"""``python -m app.cli`` is ``crop-planner``."""

from app.cli import main

main()
