"""Molmo's vision backbone: a vision transformer, then a connector, both read from a ``Family``.

Molmo, arXiv:2409.17146, section 2; CLIP, arXiv:2103.00020; SigLIP 2, arXiv:2502.14786. Two exact
savings against the public implementations: blocks after the last one read are not built, and only
the tokens that the prompt holds are pooled and projected.

Shapes: C crops, P patches a crop, T = P plus the class token, D ViT width, F feature width
(D times the layers read), N patch tokens, W patches a pooling window, L width of the LLM.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.core.plan.families import Activation, Connector, Family, Vit
from app.core.plan.work import patch_values

QUICK_GELU = 1.702
"""quick_gelu(x) = x · σ(1.702 x) = silu(1.702 x) / 1.702."""


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's approximation of GELU."""
    return x * torch.sigmoid(QUICK_GELU * x)


def activate(x: Tensor, activation: Activation) -> Tensor:
    return quick_gelu(x) if activation == "quick_gelu" else functional.gelu(x, approximate="tanh")


class Norm(nn.LayerNorm):
    """LayerNorm in the dtype of its weights, however wide the sum is that it norms."""

    def forward(self, x: Tensor) -> Tensor:
        """[.., D] → [.., D]."""
        dtype = self.weight.dtype
        if dtype == torch.float16 and x.dtype == torch.float32:
            # A sum may be too large for float16, as it cannot be for bfloat16.
            wide = self.weight.float(), self.bias.float()
            return functional.layer_norm(x, self.normalized_shape, *wide, self.eps).to(dtype)
        out: Tensor = super().forward(x.to(dtype))
        return out


class SelfAttention(nn.Module):
    """Multi-head attention [C, T, D] → [C, T, D], with query, key and value as one product."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # [C, T, 3, heads, D / heads]
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        # In the dtype of the weights: casting query and key to float32 changes nothing measurable.
        attended = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    def __init__(self, vit: Vit) -> None:
        super().__init__()
        self.activation = vit.activation
        self.up = nn.Linear(vit.width, vit.mlp_width)
        self.down = nn.Linear(vit.mlp_width, vit.width)

    def forward(self, x: Tensor) -> Tensor:
        down: Tensor = self.down(activate(self.up(x), self.activation))
        return down


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, vit: Vit) -> None:
        super().__init__()
        self.attention_norm = Norm(vit.width, eps=vit.norm_eps)
        self.attention = SelfAttention(vit.width, vit.heads)
        self.mlp_norm = Norm(vit.width, eps=vit.norm_eps)
        self.mlp = Mlp(vit)

    def forward(self, x: Tensor) -> Tensor:
        """[C, T, D] → [C, T, D]; x may be wider than the weights."""
        x = x + self.attention(self.attention_norm(x))
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


class VisionTransformer(nn.Module):
    """CLIP's (class token, LayerNorm before the blocks) or SigLIP's (bias on the patches)."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        vit = family.vit
        self.feature_layers = vit.feature_layers
        patches = (family.crop_size_px // family.patch_size_px) ** 2
        self.patch_embedding = nn.Linear(patch_values(family), vit.width, bias=not vit.class_token)
        self.class_embedding = nn.Parameter(torch.empty(vit.width)) if vit.class_token else None
        self.positional_embedding = nn.Parameter(torch.empty(patches + vit.class_token, vit.width))
        self.pre_norm = Norm(vit.width, eps=vit.norm_eps) if vit.class_token else None
        self.blocks = nn.ModuleList(Block(vit) for _ in range(vit.blocks_run))

    def embed(self, patches: Tensor) -> Tensor:
        """[C, P, 588] → what goes into the first block, [C, T, D]."""
        x: Tensor = self.patch_embedding(patches)
        if self.class_embedding is not None:
            x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1)
        x = x + self.positional_embedding
        if self.pre_norm is not None:
            x = self.pre_norm(x)
        return x

    def forward(self, patches: Tensor) -> tuple[Tensor, ...]:
        """[C, P, 588] → the outputs of the feature layers, in their order, each [C, T, D]."""
        x = self.embed(patches)
        narrow = x.dtype
        if narrow == torch.float16:
            # The sum over the blocks has outliers that float16 cannot hold.
            x = x.float()
        read: dict[int, Tensor] = {}
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.feature_layers:
                read[index] = x.to(narrow)
        return tuple(read[layer] for layer in self.feature_layers)


class AttentionPooling(nn.Module):
    """Attention over the patches of a window, with their mean as the query: [N, W, F] → [N, D]."""

    def __init__(self, features: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(features, width)
        self.key_value = nn.Linear(features, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, windows: Tensor, present: Tensor | None) -> Tensor:
        """``present`` [N, W] limits mean and attention to those patches; None means all."""
        if present is None:
            mean = windows.mean(dim=1)
        else:
            mean = windows.sum(dim=1) / present.sum(dim=1, keepdim=True).to(windows.dtype)
        query = self.query(mean).unflatten(-1, (1, self.heads, -1))  # [N, 1, heads, D / heads]
        key_value = self.key_value(windows).unflatten(-1, (2, self.heads, -1))
        key, value = key_value.unbind(2)  # [N, W, heads, D / heads]
        out: Tensor = self.out(attend_to_window(query, key, value, present).flatten(1))
        return out


def attend_to_window(query: Tensor, key: Tensor, value: Tensor, present: Tensor | None) -> Tensor:
    """Attention of one query [N, 1, H, d] over a window's keys and values [N, W, H, d] → [N, H, d].

    ``present`` [N, W] is None for all. Written out on a GPU: fused attention pads a window's few
    keys to dozens, and cuDNN's makes a new plan, tens of ms of the host's time, for every number of
    tokens. On a CPU torch's attention writes less in between.
    """
    if query.device.type == "cpu":
        mask = None if present is None else present[:, None, None]
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return mixed.squeeze(2)
    return written_out(query, key, value, present)


def written_out(query: Tensor, key: Tensor, value: Tensor, present: Tensor | None) -> Tensor:
    """Compute :func:`attend_to_window` with float32 scores and sums."""
    scores = (query.float() * key).sum(-1) * query.shape[-1] ** -0.5  # [N, W, H]
    if present is not None:
        scores = scores.masked_fill(~present[..., None], float("-inf"))
    share = scores.softmax(dim=1)
    mixed: Tensor = (share[..., None] * value).sum(1)
    return mixed.to(value.dtype)


class Projector(nn.Module):
    """SwiGLU (arXiv:2002.05202) without biases: [N, D] → [N, L], gate and up as one product."""

    def __init__(self, width: int, connector: Connector) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * connector.projector_hidden, bias=False)
        self.down = nn.Linear(connector.projector_hidden, connector.llm_width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        down: Tensor = self.down(functional.silu(gate) * up)
        return down


class VisionBackbone(nn.Module):
    """From normalised patches to vision tokens. Parameters are left as torch makes them;
    :mod:`app.encoder.network.checkpoint` and :mod:`app.encoder.network.random_weights` fill them.
    """

    def __init__(self, family: Family) -> None:
        super().__init__()
        vit, connector = family.vit, family.connector
        features = vit.width * len(vit.feature_layers)
        self.class_token = vit.class_token
        self.masks_missing_patches = connector.masks_missing_patches
        self.vit = VisionTransformer(family)
        # Rows: the patch is all padding, the patch is partly padding.
        self.padding_embedding = (
            nn.Parameter(torch.empty(2, features)) if connector.padding_embedding else None
        )
        self.pooling = AttentionPooling(features, vit.width, vit.heads)
        self.projector = Projector(vit.width, connector)

    def encode_patches(self, patches: Tensor) -> Tensor:
        """Normalised patches [C, P, 588] → features [C, P, F] in the dtype of the weights.

        The reference multiplies a crop whose values are all -1 by 0; such crops only fill up a
        batch of images there, and are never made here.
        """
        return self.features(self.vit(patches.to(self.vit.positional_embedding.dtype)))

    def features(self, layers: tuple[Tensor, ...]) -> Tensor:
        """The outputs of the feature layers, each [C, T, D] → [C, P, F], without class tokens."""
        first_patch = 1 if self.class_token else 0
        return torch.cat([layer[:, first_patch:] for layer in layers], dim=-1)

    def connect(self, features: Tensor, pool_index: Tensor, padding_state: Tensor) -> Tensor:
        """Features [C, P, F] → vision tokens [N, L], in the order of ``pool_index``.

        Args:
            features: what :meth:`encode_patches` returns.
            pool_index: int64 [N, W]; flat patches ``crop · P + patch``, -1 where none is.
            padding_state: int64 [C, P], see
                :class:`app.encoder.network.padding.PaddingState`; not read by families
                without a padding embedding.
        """
        present = pool_index >= 0
        index = pool_index.clamp_min(0)
        windows = features.flatten(0, 1)[index]
        if self.padding_embedding is not None:
            windows = windows + self.padding_table()[padding_state.flatten()[index]]
        windows = windows * present[..., None]
        pooled = self.pooling(windows, present if self.masks_missing_patches else None)
        tokens: Tensor = self.projector(pooled)
        return tokens

    def padding_table(self) -> Tensor:
        """The padding embedding with a row of zeros for no padding in front: [3, F]."""
        assert self.padding_embedding is not None
        return functional.pad(self.padding_embedding, (0, 0, 1, 0))

    def forward(self, patches: Tensor, pool_index: Tensor, padding_state: Tensor) -> Tensor:
        """:meth:`encode_patches`, then :meth:`connect`."""
        return self.connect(self.encode_patches(patches), pool_index, padding_state)


def meta_backbone(family: Family) -> VisionBackbone:
    """The network with shapes but without memory, to be filled where it will live."""
    with torch.device("meta"):
        return VisionBackbone(family).eval().requires_grad_(False)
