"""A vocabulary learned from the captions, in the format that `open_clip.get_tokenizer` loads.

open_clip's own 49,408 tokens are most of a small model. This one is a byte-level BPE (Sennrich et al., ACL 2016) of the
lower-case captions, so any text has tokens; a text ends with ``<eos>``, whose id is the largest, where open_clip's text
tower takes its feature (`pool_type: argmax`).
"""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

PAD, END = "<pad>", "<eos>"


def learn(captions: Iterable[str], size: int, context: int) -> Tokenizer:
    """
    Learn a vocabulary.

    Parameters
    ----------
    size : int
        Tokens at most, of which 256 are bytes.
    context : int
        Tokens a text, the end included: longer texts are cut, shorter ones padded with id 0.

    Returns
    -------
    Tokenizer
        The same for the same captions in any order.
    """
    tokenizer = Tokenizer(BPE())
    # open_clip straightens quotation marks before it calls a tokenizer; a tokenizer used without it must do the same
    straight = [normalizers.Replace(Regex("[‘’]"), "'"), normalizers.Replace(Regex("[“”]"), '"')]
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase(), *straight])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=size - 1,
        min_frequency=2,
        special_tokens=[PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(captions), trainer)
    tokenizer.add_special_tokens([AddedToken(END, special=True)])
    end = tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, end)])
    tokenizer.enable_truncation(context)
    tokenizer.enable_padding(pad_id=0, pad_token=PAD, length=context)
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """
    Write `tokenizer.json` and the configuration that lets transformers, and so open_clip, load it.

    Parameters
    ----------
    tokenizer : Tokenizer
        From `learn`.
    """
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": END,
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
