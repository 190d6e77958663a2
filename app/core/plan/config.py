"""Define the effective configuration of a plan: a family, and the values a request overrides."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

from app.core.errors import InvalidConfig
from app.core.plan.families import Family

MAX_CROPS_LIMIT = 64
MAX_CROP_SIZE_PX = 4096
"""Bounds for requests of strangers: the work of a plan grows with both."""


@dataclass(frozen=True)
class CropConfig:
    """Hold the values that decide a plan, besides the image size.

    ``overlap_margins`` are in patches: (left and top, right and bottom).

    Raises:
        InvalidConfig: Molmo's preprocessor asserts against a value (a margin that pooling does not
            divide, no window left, a side with a fraction of a patch), or it is out of our bounds.
    """

    family: Family
    max_crops: int
    overlap_margins: tuple[int, int]
    crop_size_px: int

    def __hash__(self) -> int:
        """Hash once, as the tables of a configuration are looked up all the time."""
        return self._hash

    def __post_init__(self) -> None:
        self._check_max_crops()
        self._check_crop_size()
        self._check_margins()

    @cached_property
    def _hash(self) -> int:
        return hash((self.family, self.max_crops, self.overlap_margins, self.crop_size_px))

    @cached_property
    def patch_size_px(self) -> int:
        return self.family.patch_size_px

    @cached_property
    def pooling(self) -> int:
        return self.family.connector.pooling

    @cached_property
    def pools_crops(self) -> bool:
        """Return True if each crop is pooled by itself, False if the stitched canvas is."""
        return self.family.connector.pooling_domain == "crop"

    @cached_property
    def margin_patches(self) -> int:
        return sum(self.overlap_margins)

    @cached_property
    def margin_px(self) -> int:
        """Return the total margin of a side: the px that two neighbours share."""
        return self.margin_patches * self.patch_size_px

    @cached_property
    def crop_patches(self) -> int:
        """Return the patches along one side of a crop."""
        return self.crop_size_px // self.patch_size_px

    @cached_property
    def window_patches(self) -> int:
        """Return the patches that one more crop adds to the canvas, along one side."""
        return self.crop_patches - self.margin_patches

    @cached_property
    def window_px(self) -> int:
        return self.window_patches * self.patch_size_px

    @cached_property
    def crop_tokens(self) -> int:
        """Return the pooled tokens along one side of a crop; an odd side is padded up."""
        return -(-self.crop_patches // self.pooling)

    @property
    def is_native(self) -> bool:
        """Return True if crops have the side that the encoder was trained for."""
        return self.crop_size_px == self.family.crop_size_px

    def _check_max_crops(self) -> None:
        if not 1 <= self.max_crops <= MAX_CROPS_LIMIT:
            raise InvalidConfig(
                f"max_crops must be between 1 and {MAX_CROPS_LIMIT}, got {self.max_crops}",
                parameter="max_crops",
                limit=MAX_CROPS_LIMIT,
                actual=self.max_crops,
            )

    def _check_crop_size(self) -> None:
        patch, side = self.patch_size_px, self.crop_size_px
        if not patch <= side <= MAX_CROP_SIZE_PX or side % patch:
            raise InvalidConfig(
                f"crop_size_px must be a multiple of the patch size {patch} "
                f"and at most {MAX_CROP_SIZE_PX}, got {side}",
                parameter="crop_size_px",
                limit=MAX_CROP_SIZE_PX,
                actual=side,
            )

    def _check_margins(self) -> None:
        # Molmo 2 pools the stitched grid, so its margins are free.
        unit = self.pooling if self.pools_crops else 1
        for margin in self.overlap_margins:
            if margin < 0:
                raise InvalidConfig(
                    f"overlap_margins must not be negative, got {margin}",
                    parameter="overlap_margins",
                    limit=0,
                    actual=margin,
                )
            if margin % unit:
                raise InvalidConfig(
                    f"overlap_margins must be multiples of the pooling size {unit}, got {margin}",
                    parameter="overlap_margins",
                    limit=unit,
                    actual=margin,
                )
        if self.window_patches < 1:
            raise InvalidConfig(
                f"overlap_margins of {self.margin_patches} patches leave no window "
                f"in a crop of {self.crop_patches} patches",
                parameter="overlap_margins",
                limit=self.crop_patches - 1,
                actual=self.margin_patches,
            )


_shared_config = lru_cache(maxsize=128)(CropConfig)


def make_config(
    family: Family,
    *,
    max_crops: int | None = None,
    overlap_margins: tuple[int, int] | None = None,
    crop_size_px: int | None = None,
) -> CropConfig:
    """Return the family's own values, overridden by each argument that is given.

    Raises:
        InvalidConfig: as :class:`CropConfig` does.
    """
    return _shared_config(
        family=family,
        max_crops=family.default_max_crops if max_crops is None else max_crops,
        overlap_margins=family.overlap_margins if overlap_margins is None else overlap_margins,
        crop_size_px=family.crop_size_px if crop_size_px is None else crop_size_px,
    )
