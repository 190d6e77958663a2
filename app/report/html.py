"""The report: one HTML file that tells what was found."""

from __future__ import annotations

from pathlib import Path

from app.report.experiment import Experiment


def render_report(experiment: Experiment, folder: Path) -> str:
    """The report of an experiment whose pictures are in ``folder``."""
    return f"<!doctype html><title>{experiment.dataset.name}</title>\n"
