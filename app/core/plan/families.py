"""Describe the Molmo families as data: a family is a row, and no model has a subclass.

Sources: Molmo 1 from allenai/molmo (``olmo/config.py``, ``olmo/data/model_preprocessor.py``) and
the configurations released with the checkpoints; Molmo 2 from transformers' ``molmo2``.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from app.core.errors import UnknownModel

ResizeLaw = Literal["letterbox", "stretch"]
PoolingDomain = Literal["crop", "canvas"]
Activation = Literal["quick_gelu", "gelu_tanh"]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Describe the steps from an image to normalised crops.

    ``letterbox`` keeps the aspect, antialiases in float32 and pads with 0 before normalisation;
    ``stretch`` fills the canvas without antialiasing and rounds back to uint8.
    """

    resize_law: ResizeLaw
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Vit:
    """Describe the vision transformer.

    ``feature_layers`` index blocks from 0, in the order of concatenation.
    """

    width: int
    heads: int
    mlp_width: int
    activation: Activation
    blocks_stored: int
    feature_layers: tuple[int, ...]
    norm_eps: float
    class_token: bool
    """CLIP: a class token, a LayerNorm before the first block, no bias on the patch embedding."""

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def blocks_run(self) -> int:
        """Count the blocks that are read; later ones are stored but change nothing."""
        return max(self.feature_layers) + 1


@dataclass(frozen=True, slots=True)
class Connector:
    """Describe the attention pooling of ``pooling``² patches, and then the SwiGLU projector."""

    projector_hidden: int
    llm_width: int
    pooling_domain: PoolingDomain
    """``crop``: each crop is pooled, without margins after it. ``canvas``: the stitched grid is."""
    padding_embedding: bool
    masks_missing_patches: bool
    """True if the pooling attention ignores the positions that pad an odd grid."""
    pooling: int = 2


@dataclass(frozen=True, slots=True)
class Family:
    """Describe one released model: all its facts for planning and encoding."""

    name: str
    generation: Literal[1, 2]
    crop_size_px: int
    patch_size_px: int
    overlap_margins: tuple[int, int]
    """Patches dropped at (left and top, right and bottom) of a crop that has a neighbour there."""
    default_max_crops: int
    global_column_tokens: bool
    preprocessing: Preprocessing
    vit: Vit
    connector: Connector

    def __hash__(self) -> int:
        """Hash the name alone, as it is unique and caches look families up all the time."""
        return hash(self.name)


_CLIP_L_336 = Vit(
    width=1024,
    heads=16,
    mlp_width=4096,
    activation="quick_gelu",
    blocks_stored=23,
    feature_layers=(21, 14),  # hidden[-2], hidden[-9] of the 23 block outputs
    norm_eps=1e-5,
    class_token=True,
)
_SIGLIP2_SO400M = Vit(
    width=1152,
    heads=16,
    mlp_width=4304,
    activation="gelu_tanh",
    blocks_stored=25,
    feature_layers=(24, 18),
    norm_eps=1e-6,
    class_token=False,
)


def _molmo1(name: str, *, projector_hidden: int, llm_width: int) -> Family:
    return Family(
        name=name,
        generation=1,
        crop_size_px=336,
        patch_size_px=14,
        overlap_margins=(4, 4),
        default_max_crops=12,
        global_column_tokens=True,
        preprocessing=Preprocessing(
            resize_law="letterbox",
            mean=(0.48145466, 0.4578275, 0.40821073),
            std=(0.26862954, 0.26130258, 0.27577711),
        ),
        vit=_CLIP_L_336,
        connector=Connector(
            projector_hidden=projector_hidden,
            llm_width=llm_width,
            pooling_domain="crop",
            padding_embedding=True,
            masks_missing_patches=False,
        ),
    )


def _molmo2(name: str, *, projector_hidden: int, llm_width: int) -> Family:
    return Family(
        name=name,
        generation=2,
        crop_size_px=378,
        patch_size_px=14,
        overlap_margins=(4, 4),
        default_max_crops=8,
        global_column_tokens=False,
        preprocessing=Preprocessing(
            resize_law="stretch", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
        ),
        vit=_SIGLIP2_SO400M,
        connector=Connector(
            projector_hidden=projector_hidden,
            llm_width=llm_width,
            pooling_domain="canvas",
            padding_embedding=False,
            masks_missing_patches=True,
        ),
    )


DEFAULT_FAMILY = "molmo-7b-d-0924"

FAMILIES: MappingProxyType[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            _molmo1("molmo-7b-d-0924", projector_hidden=18944, llm_width=3584),
            _molmo1("molmo-7b-o-0924", projector_hidden=11008, llm_width=4096),
            _molmo1("molmo-72b-0924", projector_hidden=29568, llm_width=8192),
            _molmo1("molmoe-1b-0924", projector_hidden=1024, llm_width=2048),
            _molmo2("molmo2-4b", projector_hidden=9728, llm_width=2560),
            _molmo2("molmo2-8b", projector_hidden=12288, llm_width=4096),
            _molmo2("molmo2-o-7b", projector_hidden=11008, llm_width=4096),
        )
    }
)


def family_named(name: str) -> Family:
    """Return the family called ``name``.

    Raises:
        UnknownModel: there is none; the error lists all names.
    """
    try:
        return FAMILIES[name]
    except KeyError:
        raise UnknownModel(
            f"unknown model {name!r}; known are {', '.join(FAMILIES)}",
            actual=name,
            known=list(FAMILIES),
        ) from None
