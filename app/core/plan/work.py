"""Count the arithmetic for vision tokens, and the bytes of weights and passes.

Matrix products count, at 2 FLOPs per multiply-add, of blocks and tokens that reach the output.
Norms, activations and softmax (under 1 %) do not count, nor does work in vain.
"""

from collections.abc import Sequence
from statistics import median

from app.core.plan.canvas import Canvas
from app.core.plan.families import Family
from app.core.plan.plan import CropPlan

CHANNELS = 3
FLOAT32_BYTES = 4


def vit_flops(family: Family, crops: int, *, crop_size_px: int | None = None) -> int:
    """Count the FLOPs of the vision transformer over ``crops`` crops, the global one included.

    ``crop_size_px`` defaults to the side of the family's training.
    """
    side = crop_size_px if crop_size_px is not None else family.crop_size_px
    vit = family.vit
    patches = (side // family.patch_size_px) ** 2
    sequence = patches + vit.class_token
    embedding = patches * patch_values(family) * vit.width
    projections = 4 * sequence * vit.width * vit.width  # query, key, value, output
    attention = 2 * sequence * sequence * vit.width  # QKᵀ and the weighted sum of V
    mlp = 2 * sequence * vit.width * vit.mlp_width
    return 2 * crops * (embedding + vit.blocks_run * (projections + attention + mlp))


def connector_flops(family: Family, tokens: int) -> int:
    """Count the FLOPs of attention pooling and projector for ``tokens`` patch tokens.

    Keys and values are counted once per token and patch: windows share no patch within a crop.
    """
    vit, connector = family.vit, family.connector
    window = connector.pooling**2
    features = vit.width * len(vit.feature_layers)
    pooling = (
        (1 + 2 * window) * features * vit.width  # one mean query; keys and values
        + 2 * window * vit.width  # QKᵀ and the weighted sum of V
        + vit.width * vit.width  # output
    )
    projector = (2 * vit.width + connector.llm_width) * connector.projector_hidden
    return 2 * tokens * (pooling + projector)


def plan_flops(plan: CropPlan) -> int:
    """Count the FLOPs from the crops of a plan to the vision tokens of its prompt."""
    family = plan.config.family
    vit = vit_flops(family, plan.total_crops, crop_size_px=plan.config.crop_size_px)
    return vit + connector_flops(family, plan.tokens.patch)


def gflop_per_s(flops: int, ms: float) -> float:
    """Return the rate of work done in a time."""
    return flops / ms / 1e6


def matmul_rate(rates: Sequence[float]) -> float | None:
    """Return the median rate over the rounds, the base of floors and shares; None without rounds.

    The rate of a round is the best of a few products. The best of all rounds would be a clock of
    one moment, and all other times would seem too slow.
    """
    return median(rates) if rates else None


def floor_ms(flops: int, rate_gflop_per_s: float) -> float:
    """Return the ms of work at a rate: a floor, at the rate of a large product on the device."""
    return flops / rate_gflop_per_s / 1e6


def weights_bytes(family: Family, bytes_per_value: int) -> int:
    """Count the bytes of the needed weights, without blocks stored after the last one read."""
    return bytes_per_value * (_vit_values(family) + _connector_values(family))


def pass_bytes(family: Family, crops: int, bytes_per_value: int) -> int:
    """Bound the bytes of a pass at its peak besides the weights, for admission.

    The plain network is counted at its widest. A block holds the residual sum, its norm, the MLP
    four times over (input and output of the activation and two between) and the layers read. The
    connector holds the features, the windows three times over and the projector's hidden values
    four times over, for every token of every crop. Faster runtimes take less.
    """
    vit, connector = family.vit, family.connector
    patches = (family.crop_size_px // family.patch_size_px) ** 2
    features = patches * vit.width * len(vit.feature_layers)
    inputs = patches * patch_values(family)
    read = len(vit.feature_layers) * vit.width
    block = (patches + vit.class_token) * (2 * vit.width + read + 4 * vit.mlp_width)
    tokens = patches // connector.pooling**2
    gathered = 3 * connector.pooling**2 * vit.width * len(vit.feature_layers)
    hidden = 4 * connector.projector_hidden + connector.llm_width
    widest = max(block, features + tokens * (gathered + hidden))
    return crops * bytes_per_value * (inputs + features + widest)


def cutting_bytes(plans: Sequence[CropPlan]) -> int:
    """Bound the bytes of images on the device until their crops are cut, besides the crops.

    The pixels of every image count, as all may cross the bus before the first is cut. The largest
    image counts again for its cutting: the pixels in float32, once more in the order of torch's
    resizing kernels on CUDA (``contiguous`` in UpSampleBilinear2d.cu), and a canvas before and
    after its padding.
    """
    if not plans:
        return 0
    pixels = sum(CHANNELS * plan.image.width * plan.image.height for plan in plans)
    return pixels + max(_float_bytes(plan) for plan in plans)


def _float_bytes(plan: CropPlan) -> int:
    def area(canvas: Canvas) -> int:
        return canvas.width * canvas.height

    image_px = plan.image.width * plan.image.height
    canvas_px = max(area(plan.canvas), area(plan.global_canvas))
    return 2 * (image_px + canvas_px) * CHANNELS * FLOAT32_BYTES


def patch_values(family: Family) -> int:
    """Count the values in one patch: pixels times colours."""
    return family.patch_size_px**2 * CHANNELS


def _vit_values(family: Family) -> int:
    vit = family.vit
    width = vit.width
    positions = (family.crop_size_px // family.patch_size_px) ** 2 + vit.class_token
    # A class token brings a LayerNorm before the blocks; without one the embedding has a bias.
    extra = width + 2 * width if vit.class_token else width
    block = (
        4 * width * (width + 1)  # query, key, value, output
        + width * vit.mlp_width * 2
        + vit.mlp_width
        + width
        + 2 * 2 * width  # two norms
    )
    return patch_values(family) * width + extra + positions * width + vit.blocks_run * block


def _connector_values(family: Family) -> int:
    width, connector = family.vit.width, family.connector
    features = width * len(family.vit.feature_layers)
    pooling = 3 * (features + 1) * width + (width + 1) * width
    projector = (2 * width + connector.llm_width) * connector.projector_hidden
    return pooling + projector + (2 * features if connector.padding_embedding else 0)
