"""``crop-planner`` that knows the tiny family too: for dry runs of :mod:`benchmarks.throughput`."""

from __future__ import annotations

from types import MappingProxyType

from app.core.plan import families
from benchmarks.conditions import tiny


def main() -> None:
    """Add the family, then run the command line as it is."""
    added = tiny(families.family_named(families.DEFAULT_FAMILY))
    families.FAMILIES = MappingProxyType({**families.FAMILIES, added.name: added})
    # Only now, as what it imports takes the families as they are.
    from app.cli import main as run

    run()


if __name__ == "__main__":
    main()
