"""The effective configuration of a plan: a family and what a request overrides."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.core.errors import InvalidConfig
from app.core.plan.families import Family

MAX_CROPS_LIMIT = 64
MAX_CROP_SIZE_PX = 4096
"""Bounds on what a stranger may ask of us: the work of a plan grows with both."""


def _derived() -> int:
    """A field that ``__post_init__`` computes and that equality need not look at."""
    value: int = field(init=False, repr=False, compare=False)
    return value


@dataclass(frozen=True, slots=True)
class CropConfig:
    """What decides a plan besides the image size. Build one with :func:`make_config`.

    ``overlap_margins`` are in patches, (left and top, right and bottom). What follows from the four
    inputs is computed once: a search for sizes reads it thousands of times.
    """

    family: Family
    max_crops: int
    overlap_margins: tuple[int, int]
    crop_size_px: int
    margin_patches: int = _derived()
    margin_px: int = _derived()
    """Total margin of a side: what two neighbours share."""
    window_patches: int = _derived()
    """Patches that one more crop adds to the canvas, along one side."""
    window_px: int = _derived()
    crop_patches: int = _derived()
    """Patches along one side of a crop."""

    def __post_init__(self) -> None:
        patch = self.family.patch_size_px
        margin, side = sum(self.overlap_margins), self.crop_size_px // patch
        for name, value in (
            ("margin_patches", margin),
            ("margin_px", margin * patch),
            ("window_patches", side - margin),
            ("window_px", (side - margin) * patch),
            ("crop_patches", side),
        ):
            object.__setattr__(self, name, value)

    @property
    def patch_size_px(self) -> int:
        return self.family.patch_size_px

    @property
    def pooling(self) -> int:
        return self.family.connector.pooling

    @property
    def crop_tokens(self) -> int:
        """Pooled tokens along one side of a crop; an odd side is padded up."""
        return -(-self.crop_patches // self.pooling)

    @property
    def is_native(self) -> bool:
        """Whether crops have the side the encoder was trained for."""
        return self.crop_size_px == self.family.crop_size_px


def make_config(
    family: Family,
    *,
    max_crops: int | None = None,
    overlap_margins: tuple[int, int] | None = None,
    crop_size_px: int | None = None,
) -> CropConfig:
    """The family's own values, overridden where an argument is given.

    Raises:
        InvalidConfig: what Molmo's preprocessor asserts against (a margin that pooling does not
            divide, no window left, a side that is no whole number of patches), or a value outside
            our bounds.
    """
    config = CropConfig(
        family=family,
        max_crops=family.default_max_crops if max_crops is None else max_crops,
        overlap_margins=family.overlap_margins if overlap_margins is None else overlap_margins,
        crop_size_px=family.crop_size_px if crop_size_px is None else crop_size_px,
    )
    _check(config)
    return config


def _check(config: CropConfig) -> None:
    if not 1 <= config.max_crops <= MAX_CROPS_LIMIT:
        raise InvalidConfig(
            f"max_crops must be between 1 and {MAX_CROPS_LIMIT}, got {config.max_crops}",
            parameter="max_crops",
            limit=MAX_CROPS_LIMIT,
            actual=config.max_crops,
        )
    patch = config.patch_size_px
    side = config.crop_size_px
    if not patch <= side <= MAX_CROP_SIZE_PX or side % patch:
        raise InvalidConfig(
            f"crop_size_px must be a multiple of the patch size {patch} "
            f"and at most {MAX_CROP_SIZE_PX}, got {side}",
            parameter="crop_size_px",
            limit=MAX_CROP_SIZE_PX,
            actual=side,
        )
    pooling = config.pooling
    for margin in config.overlap_margins:
        if margin < 0:
            raise InvalidConfig(
                f"overlap_margins must not be negative, got {margin}",
                parameter="overlap_margins",
                limit=0,
                actual=margin,
            )
        # Molmo 2 pools the stitched grid, so its margins are free.
        if config.family.connector.pooling_domain == "crop" and margin % pooling:
            raise InvalidConfig(
                f"overlap_margins must be multiples of the pooling size {pooling}, got {margin}",
                parameter="overlap_margins",
                limit=pooling,
                actual=margin,
            )
    if config.window_patches < 1:
        raise InvalidConfig(
            f"overlap_margins of {config.margin_patches} patches leave no window "
            f"in a crop of {config.crop_patches} patches",
            parameter="overlap_margins",
            limit=config.crop_patches - 1,
            actual=config.margin_patches,
        )
