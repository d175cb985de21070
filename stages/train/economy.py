"""Towers of open_clip that compute no more than their feature depends on: equal but for rounding, and faster.

A causal text tower reads its feature at the end token, so neither padding nor, in the last block, any other place
matters; captions are short, and most of a padded batch is padding. open_clip's attention pool of a ResNet asks one
question a patch and keeps the answer to the first alone. Parameters, their names and what is saved stay the same.
"""

from typing import Any, cast

import open_clip
import torch
from open_clip.modified_resnet import AttentionPool2d
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn
from torch.nn import functional

GROUPS = 4  # of texts of like length: more groups pad less, and cost more calls


class BriefCLIP(open_clip.CLIP):
    """CLIP whose causal text tower reads each text up to its end, in groups of like length."""

    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:
        """
        Encode texts.

        Parameters
        ----------
        text : Tensor, int64, (n, context)
            Tokens.
        normalize : bool
            Whether features get unit length.

        Returns
        -------
        Tensor, (n, embed_dim)
            Features.
        """
        end = (text if self.text_pool_type == "argmax" else torch.eq(text, cast(int, self.text_eos_id)).int()).argmax(
            dim=-1
        )
        order = end.argsort(stable=True)
        pooled = torch.cat([self._read(text[part], end[part]) for part in order.chunk(GROUPS)])
        pooled = cast(Any, self.ln_final)(pooled[order.argsort()])
        projection = self.text_projection
        features = projection(pooled) if isinstance(projection, nn.Linear) else pooled @ cast(Tensor, projection)
        return functional.normalize(features, dim=-1) if normalize else features

    def _read(self, text: Tensor, end: Tensor) -> Tensor:
        """Return the last block's output at the end of each text, (n, width)."""
        length = int(end.max()) + 1
        mask = cast(Tensor, self.attn_mask)[:length, :length]
        x = cast(Any, self.token_embedding)(text[:, :length]) + cast(Tensor, self.positional_embedding)[:length]
        *blocks, last = cast(Any, self.transformer.resblocks)
        for block in blocks:
            x = block(x, attn_mask=mask)
        pooled, context = x[torch.arange(len(end)), end].unsqueeze(1), last.ln_1(x)
        seen = mask[end].unsqueeze(1).repeat_interleave(last.attn.num_heads, dim=0)
        pooled = pooled + last.ls_1(last.attention(last.ln_1(pooled), context, context, seen))
        return (pooled + last.ls_2(last.mlp(last.ln_2(pooled)))).squeeze(1)


class OneQuestion(AttentionPool2d):
    """Attention pool that asks for the mean patch only."""

    def forward(self, x: Tensor) -> Tensor:
        """
        Pool.

        Parameters
        ----------
        x : Tensor, (n, channels, height, width)
            Patches.

        Returns
        -------
        Tensor, (n, embed_dim)
            What attention gives to their mean.
        """
        x = x.flatten(2).permute(2, 0, 1)
        x = torch.cat([x.mean(dim=0, keepdim=True), x]) + self.positional_embedding[:, None].to(x.dtype)
        bias = torch.cat([self.q_proj.bias, self.k_proj.bias, self.v_proj.bias])
        answer, _ = functional.multi_head_attention_forward(
            x[:1], x, x, x.shape[-1], self.num_heads, None, bias, None, None, False, 0.0,
            self.c_proj.weight, self.c_proj.bias, training=self.training, need_weights=False,
            use_separate_proj_weight=True, q_proj_weight=self.q_proj.weight, k_proj_weight=self.k_proj.weight,
            v_proj_weight=self.v_proj.weight,
        )  # fmt: skip
        return answer[0]


def economise(model: nn.Module, texts: bool) -> None:
    """
    Let a model skip what its features do not depend on.

    Parameters
    ----------
    model : nn.Module
        open_clip model, changed in place; towers of other kinds stay as they are.
    texts : bool
        Whether the text tower does, too. Lengths are read on the host, for which an accelerator would have to wait.
    """
    for module in model.modules():
        if type(module) is AttentionPool2d:
            module.__class__ = OneQuestion
    if texts and type(model) is open_clip.CLIP and _brief(model):
        model.__class__ = BriefCLIP


def _brief(model: open_clip.CLIP) -> bool:
    """Tell whether the feature is the one at the end token of a causal tower of plain blocks."""
    tower = model.transformer
    return (
        model.text_pool_type in ("argmax", "eos")
        and model.attn_mask is not None
        and model.text_projection is not None
        and tower.batch_first
        and not tower.grad_checkpointing
        and all(type(block) is ResidualAttentionBlock for block in tower.resblocks)
    )
