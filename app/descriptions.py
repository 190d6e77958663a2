"""Describe each option once for HTTP and the command line."""

from typing import Final

from app.core.plan.config import MAX_CROPS_LIMIT

MAX_CROPS: Final = f"Most grid crops, 1 to {MAX_CROPS_LIMIT}; by default the family's."
OVERLAP_MARGINS: Final = (
    "Patches dropped at the left and top, and at the right and bottom, of a crop."
)
CROP_SIZE_PX: Final = "Side of a crop, a multiple of the patch; by default the family's."

FORMAT: Final = "By default the image's own; PNG for GIF, BMP and TIFF."
QUALITY: Final = "Of jpeg and webp, 1 to 100; by default 95."
RESAMPLE: Final = "Filter of the resize."

TARGET_CROPS: Final = "Grid crops, exactly."
TARGET_TOKENS: Final = "The plan with most prompt tokens not above this."
TILING: Final = "This tiling, exactly: rows x columns."
RESIZE_MODE: Final = (
    "`fit`: keep the aspect. `pad`: the whole image on the canvas, black around. `crop`: fill the "
    "canvas, cut the rest. `stretch`: fill the canvas, lose the aspect. `auto`: leave an image "
    "alone that meets the target, else fit, else pad."
)
RESIZE_UPSCALE: Final = "`never`: no pixel is enlarged."

LATENCY_BUDGET_MS: Final = "Most ms for the vision tokens, and for the prefill if given."
MAX_TOKENS: Final = "Most prompt tokens of the image."
PERCENTILE: Final = "Percentile of the predicted latency."
QUALITY_THRESHOLD: Final = "Least SSIM of a made image."
MODES: Final = "Ways to resize: of fit, pad, crop, stretch."
STRATEGY: Final = (
    "`best`: resize, or limit the model's `max_crops`, by quality. `resize`: another image only. "
    "`max_crops`: the limit only, the image untouched. `hybrid`: a limit under which no image "
    "breaks the budget, and a resize within it."
)
ADAPT_UPSCALE: Final = "`allow`: candidates may be enlarged."
PREFILL_MS_PER_TOKEN: Final = (
    "The language model's prefill, per prompt token; by default the setting."
)
PREFILL_BASE_MS: Final = "The prefill of any prompt. Only with the prefill per token."

PICTURE_KIND: Final = (
    "`crops`: every crop's boundary on the image. `comparison`: beside it the crops, with their "
    "tokens. `statistics`: overlap in figures. `coverage`: the crops over each patch, as a map."
)
