"""An encoder-decoder on CLIP's spatial features: the encoder relates the places of the image, the decoder says it.

The blocks are transformers' BART: Vaswani's encoder and decoder (norm after each sublayer) with learned positions.

References
----------
Vaswani et al., NeurIPS 2017 [P]; that the contamination study took these sizes is not verified [?].
"""

import torch
from torch import Tensor, nn
from transformers import BartConfig, BartForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput
from typing_extensions import override

from stages.caption.captioner import Captioner, Ends, Standardise, decoding_arguments, token_loss


class TransformerCaptioner(Captioner):
    """
    A projection, an encoder, a decoder.

    Parameters
    ----------
    vocabulary, places, max_tokens : int
        Tokens known; places of the image (P); tokens a caption at most.
    width, layers, heads, feedforward : int
        W; blocks of encoder and of decoder; attention heads; hidden units.
    """

    reads = "spatial"

    def __init__(
        self,
        scale: Standardise,
        ends: Ends,
        *,
        vocabulary: int,
        places: int,
        max_tokens: int,
        width: int = 512,
        layers: int = 6,
        heads: int = 8,
        feedforward: int = 2048,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.ends = ends
        self.scale = scale
        self.project = nn.Linear(len(scale.mean), width)
        self.model = BartForConditionalGeneration(
            BartConfig(
                vocab_size=vocabulary,
                max_position_embeddings=max(places, max_tokens + 1),
                d_model=width,
                encoder_layers=layers,
                decoder_layers=layers,
                encoder_attention_heads=heads,
                decoder_attention_heads=heads,
                encoder_ffn_dim=feedforward,
                decoder_ffn_dim=feedforward,
                activation_function="relu",
                dropout=dropout,
                attention_dropout=dropout,
                init_std=width**-0.5,  # as Vaswani's embeddings
                pad_token_id=ends.pad,
                bos_token_id=ends.start,
                eos_token_id=ends.end,
                decoder_start_token_id=ends.start,
                forced_eos_token_id=None,
            )
        )

    @override
    def loss(self, images: Tensor, tokens: Tensor) -> Tensor:
        start = torch.full_like(tokens[:, :1], self.ends.start)
        said = torch.cat([start, tokens[:, :-1]], dim=1)
        seen = self.model.get_encoder()(inputs_embeds=self.project(self.scale(images)))
        # causal, and padded on the right: no token ever looks at padding, so no mask is needed
        hidden = self.model.get_decoder()(input_ids=said, encoder_hidden_states=seen.last_hidden_state)
        return token_loss(hidden.last_hidden_state, self.model.lm_head, tokens, self.ends.end)

    @override
    @torch.no_grad()
    def generate(self, images: Tensor, beams: int, max_tokens: int) -> Tensor:
        seen = self.model.get_encoder()(inputs_embeds=self.project(self.scale(images)))
        arguments = decoding_arguments(self.ends, beams, max_tokens)
        said = self.model.generate(  # pyright: ignore[reportAttributeAccessIssue]
            encoder_outputs=BaseModelOutput(last_hidden_state=seen.last_hidden_state),
            decoder_start_token_id=self.ends.start,
            **arguments,
        )
        return said[:, 1:]  # without the start token
