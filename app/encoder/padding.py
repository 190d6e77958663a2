"""Which patches are padding, and in which order the released code says so."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

import torch
from torch import Tensor

MaskOrder = Literal["released", "aligned"]
"""``aligned``: a patch's padding state is its own. ``released``: as in the released code, whose
mask lacks the global crop's row and is filled up at the end instead, so that every crop is told
the state of the next one. The weights were trained with that, so it is the default."""


class PaddingState(IntEnum):
    """How much of a patch is padding; ALL and PARTIAL are rows of the padding embedding, plus 1."""

    NONE = 0
    ALL = 1
    PARTIAL = 2


def padding_state(content: Tensor, mask_order: MaskOrder) -> Tensor:
    """The state of every patch that the backbone is told: int64 [C, P] of :class:`PaddingState`.

    ``content`` [C, P] is the share of a patch's pixels that show the image, global crop first.
    In the released order the last crop gets -1, which the reference reads as partly padded.
    """
    if mask_order == "released":
        content = torch.cat([content[1:], torch.full_like(content[:1], -1)])
    state = torch.full_like(content, PaddingState.NONE, dtype=torch.int64)
    state[content < 1] = PaddingState.PARTIAL
    state[content == 0] = PaddingState.ALL
    return state
