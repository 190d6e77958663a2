"""What a picture says in words: a heading, the plan's facts, and how they are set in lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan
from app.imaging.pictures.engine import text_width
from app.imaging.pictures.sheet import INK, QUIET, Sheet

_LEADING = 1.45
"""Of a line, in sizes of its text."""


def base_size(side_px: float) -> float:
    """Size of ordinary text beside a drawing of this side: it grows with it, but stays legible."""
    return max(11.0, side_px / 82)


def heading(plan: CropPlan) -> str:
    """Tiling and crops."""
    grid = plan.grid
    crops = "1 crop" if grid.crops == 1 else f"{grid.crops} crops"
    return f"{grid.rows} × {grid.cols}: {crops} and the global one"


def facts(plan: CropPlan) -> list[str]:
    """What else there is to know of a plan, in short parts."""
    config, overlap = plan.config, plan.overlap()
    return [
        f"{plan.image.width:,} × {plan.image.height:,} px",
        f"{config.family.name}, max crops {config.max_crops}",
        *_overridden(config),
        f"{plan.tokens.prompt:,} prompt tokens",
        f"{overlap.overlap_ratio:.1%} of patches in more than one crop",
    ]


def _overridden(config: CropConfig) -> list[str]:
    """What else of the configuration is not the family's own."""
    left, right = config.overlap_margins
    own = config.overlap_margins == config.family.overlap_margins
    return [
        *([] if own else [f"margins {left},{right}"]),
        *([] if config.is_native else [f"crops of {config.crop_size_px} px"]),
    ]


def broken(parts: Sequence[str], size: float, width: float, between: str = "  ·  ") -> list[str]:
    """Parts set in as many lines as their widths need; a part that is too long alone is kept."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}{between}{part}" if lines else part
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Lines of text that know their height, so that they can be set out before they are drawn."""

    lines: tuple[str, ...]
    size: float
    colour: str = QUIET
    bold: bool = False

    @classmethod
    def of(
        cls, text: str, size: float, width: float, *, colour: str = QUIET, bold: bool = False
    ) -> Paragraph:
        """Words set in lines of this width."""
        lines: list[str] = []
        for word in text.split(" "):
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and text_width(longer, size, bold) <= width:
                lines[-1] = longer
            else:
                lines.append(word)
        return cls(tuple(lines), size, colour, bold)

    @property
    def height(self) -> float:
        """Px from its top to its bottom."""
        return len(self.lines) * self.size * _LEADING

    @property
    def width(self) -> float:
        """Px of its longest line."""
        return max(text_width(line, self.size, self.bold) for line in self.lines)

    def draw(self, sheet: Sheet, x: float, y: float) -> float:
        """Set it with its corner at ``(x, y)``; the y of its bottom."""
        for number, line in enumerate(self.lines):
            baseline = y + (number + 0.5 * (1 + 0.72 / _LEADING)) * self.size * _LEADING
            sheet.text(x, baseline, line, self.size, colour=self.colour, bold=self.bold)
        return y + self.height


def title_of(plan: CropPlan, size: float, width: float) -> list[Paragraph]:
    """Heading and facts, as paragraphs of this width."""
    return [
        Paragraph.of(heading(plan), 1.35 * size, width, colour=INK, bold=True),
        Paragraph(tuple(broken(facts(plan), size, width)), size),
    ]
