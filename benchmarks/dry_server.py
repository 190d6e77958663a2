"""Run ``crop-planner`` with the tiny family, for dry runs of :mod:`benchmarks.throughput`."""

from __future__ import annotations

from types import MappingProxyType

from app.core.plan import families
from benchmarks.conditions import tiny


def main() -> None:
    """Add the family, then run the command line."""
    added = tiny(families.family_named(families.DEFAULT_FAMILY))
    families.FAMILIES = MappingProxyType({**families.FAMILIES, added.name: added})
    # Imported late: the command line reads the families at import.
    from app.cli import main as run

    run()


if __name__ == "__main__":
    main()
