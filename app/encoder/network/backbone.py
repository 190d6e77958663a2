"""Define Molmo's vision backbone: a vision transformer and a connector, both of a ``Family``.

Sources: Molmo, arXiv:2409.17146, section 2; CLIP, arXiv:2103.00020; SigLIP 2, arXiv:2502.14786.
Two savings against the public implementations are exact: the blocks after the last feature layer
are not built, and only the tokens of the prompt are pooled and projected.

Shapes: C crops, P patches a crop, T = P plus the class token, D ViT width, F feature width
(D times the layers read), N patch tokens, W patches a pooling window, L width of the LLM.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.core.plan.families import Activation, Connector, Family, Vit
from app.core.plan.work import patch_values

QUICK_GELU = 1.702
"""quick_gelu(x) = x · σ(1.702 x) = silu(1.702 x) / 1.702."""


def quick_gelu(x: Tensor) -> Tensor:
    """Approximate GELU as CLIP does."""
    return x * torch.sigmoid(QUICK_GELU * x)


def activate(x: Tensor, activation: Activation) -> Tensor:
    return quick_gelu(x) if activation == "quick_gelu" else functional.gelu(x, approximate="tanh")


class Norm(nn.LayerNorm):
    """Apply LayerNorm in the dtype of the weights, to inputs of that dtype or float32."""

    def forward(self, x: Tensor) -> Tensor:
        """Norm x [.., D] → [.., D]."""
        dtype = self.weight.dtype
        if dtype == torch.float16 and x.dtype == torch.float32:
            # A sum over the blocks may overflow float16; bfloat16 has float32's range.
            wide = self.weight.float(), self.bias.float()
            return functional.layer_norm(x, self.normalized_shape, *wide, self.eps).to(dtype)
        out: Tensor = super().forward(x.to(dtype))
        return out


class SelfAttention(nn.Module):
    """Attend with several heads, [C, T, D] → [C, T, D]; query, key and value are one product."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # [C, T, 3, heads, D / heads]
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        # The dtype of the weights will do: float32 for query and key changes nothing measurable.
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
    """Run one transformer block, with the norm before attention and MLP."""

    def __init__(self, vit: Vit) -> None:
        super().__init__()
        self.attention_norm = Norm(vit.width, eps=vit.norm_eps)
        self.attention = SelfAttention(vit.width, vit.heads)
        self.mlp_norm = Norm(vit.width, eps=vit.norm_eps)
        self.mlp = Mlp(vit)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block, [C, T, D] → [C, T, D]; x may have a wider dtype than the weights."""
        x = x + self.attention(self.attention_norm(x))
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


class VisionTransformer(nn.Module):
    """Run CLIP's transformer (class token, a first LayerNorm) or SigLIP's (bias on the patches)."""

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
        """Embed patches [C, P, 588] → the input of the first block, [C, T, D]."""
        x: Tensor = self.patch_embedding(patches)
        if self.class_embedding is not None:
            x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1)
        x = x + self.positional_embedding
        if self.pre_norm is not None:
            x = self.pre_norm(x)
        return x

    def forward(self, patches: Tensor) -> tuple[Tensor, ...]:
        """Run patches [C, P, 588] → the outputs of the feature layers in order, each [C, T, D]."""
        x = self.embed(patches)
        narrow = x.dtype
        if narrow == torch.float16:
            # The sum over the blocks has outliers beyond the range of float16.
            x = x.float()
        read: dict[int, Tensor] = {}
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.feature_layers:
                read[index] = x.to(narrow)
        return tuple(read[layer] for layer in self.feature_layers)


class AttentionPooling(nn.Module):
    """Pool windows by attention, [N, W, F] → [N, D]. The query is the mean of the window."""

    def __init__(self, features: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(features, width)
        self.key_value = nn.Linear(features, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, windows: Tensor, present: Tensor | None) -> Tensor:
        """Pool windows. ``present`` [N, W] limits mean and attention; None takes all patches."""
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
    """Attend with one query [N, 1, H, d] to a window's keys and values [N, W, H, d] → [N, H, d].

    ``present`` [N, W] is None for all patches. On a GPU the operations are written out: fused
    attention pads a window's few keys to dozens, and cuDNN's attention makes a new plan for every
    number of tokens, at tens of ms of the host's time. On a CPU torch's attention writes less
    between its steps.
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
    """Project by SwiGLU (arXiv:2002.05202), [N, D] → [N, L]; gate and up are one product."""

    def __init__(self, width: int, connector: Connector) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * connector.projector_hidden, bias=False)
        self.down = nn.Linear(connector.projector_hidden, connector.llm_width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        down: Tensor = self.down(functional.silu(gate) * up)
        return down


class VisionBackbone(nn.Module):
    """Run the whole network, from normalised patches to vision tokens.

    Its parameters stay as torch makes them until
    :func:`app.encoder.network.checkpoint.load_checkpoint` or
    :func:`app.encoder.synthetic.random_backbone` fills them.
    """

    def __init__(self, family: Family) -> None:
        super().__init__()
        vit, connector = family.vit, family.connector
        features = vit.width * len(vit.feature_layers)
        self.class_token = vit.class_token
        self.masks_missing_patches = connector.masks_missing_patches
        self.vit = VisionTransformer(family)
        # The rows stand for a patch of padding alone, and for a patch with some padding.
        self.padding_embedding = (
            nn.Parameter(torch.empty(2, features)) if connector.padding_embedding else None
        )
        self.pooling = AttentionPooling(features, vit.width, vit.heads)
        self.projector = Projector(vit.width, connector)

    def encode_patches(self, patches: Tensor) -> Tensor:
        """Encode normalised patches [C, P, 588] → features [C, P, F], in the dtype of the weights.

        The reference multiplies a crop of only -1 by 0. Such crops fill up a batch of images in the
        reference, and are never made here.
        """
        return self.features(self.vit(patches.to(self.vit.positional_embedding.dtype)))

    def input_for(self, total_crops: int) -> Tensor:
        """Allocate memory for patches [C, P, 588] in the dtype of the weights, on their device."""
        position = self.vit.positional_embedding
        patches = len(position) - self.class_token
        return position.new_empty(total_crops, patches, self.vit.patch_embedding.in_features)

    def features(self, layers: tuple[Tensor, ...]) -> Tensor:
        """Join the feature layers' outputs, each [C, T, D] → [C, P, F], without class tokens."""
        first_patch = 1 if self.class_token else 0
        return torch.cat([layer[:, first_patch:] for layer in layers], dim=-1)

    def connect(self, features: Tensor, pool_index: Tensor, padding_state: Tensor) -> Tensor:
        """Connect features [C, P, F] → vision tokens [N, L], in the order of ``pool_index``.

        Args:
            features: the result of :meth:`encode_patches`.
            pool_index: int64 [N, W]; flat patches ``crop · P + patch``, -1 for a missing patch.
            padding_state: int64 [C, P] of :class:`app.encoder.network.preprocess.PaddingState`;
                families without a padding embedding ignore it.
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
        """Put a row of zeros, for a patch without padding, before the padding embedding: [3, F]."""
        assert self.padding_embedding is not None
        return functional.pad(self.padding_embedding, (0, 0, 1, 0))

    def forward(self, patches: Tensor, pool_index: Tensor, padding_state: Tensor) -> Tensor:
        """Run :meth:`encode_patches`, then :meth:`connect`."""
        return self.connect(self.encode_patches(patches), pool_index, padding_state)


def meta_backbone(family: Family) -> VisionBackbone:
    """Make the network with shapes but without memory, for a later device and dtype."""
    with torch.device("meta"):
        return VisionBackbone(family).eval().requires_grad_(False)


def even_parts(patches: Tensor, features: Tensor, most: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Split patches and features into views of at most ``most`` crops, as evenly as possible."""
    parts = -(-len(patches) // most)
    return zip(patches.tensor_split(parts), features.tensor_split(parts), strict=True)


def run_blocks(
    backbone: VisionBackbone,
    patches: Tensor,
    into: Tensor,
    run: Callable[[Block, Tensor], Tensor],
) -> None:
    """Run the vision transformer block by block, with the sum over the blocks in float32.

    Args:
        patches: [C, P, 588] in the dtype of the weights.
        into: memory for the features [C, P, F].
        run: runs one block on the sum [C, T, D] and returns the new sum.
    """
    vit, first_patch = backbone.vit, 1 if backbone.class_token else 0
    x = vit.embed(patches).float()
    for index, block in enumerate(vit.blocks):
        assert isinstance(block, Block)
        x = run(block, x)
        if index in vit.feature_layers:
            at = vit.feature_layers.index(index) * x.shape[-1]
            into[..., at : at + x.shape[-1]] = x[:, first_patch:]
