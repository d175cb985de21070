"""The captioner's words: a tokenizer built from the training captions, or that of a pretrained language model."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from stages.caption.captioner import Ends
from stages.core.errors import InputError, missing
from stages.core.weights import UNREADABLE, reason

PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<start>", "<end>"
PUNCTUATION = r"[,.;:!?]"


class Vocabulary:
    """Captions to padded token ids, and back."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, ends: Ends) -> None:
        self.tokenizer = tokenizer
        self.ends = ends

    def __len__(self) -> int:
        return len(self.tokenizer)

    def encode(self, captions: Sequence[str], max_tokens: int) -> NDArray[np.int32]:
        """
        Turn captions into ids (N, T): words, the end token, padding.

        Parameters
        ----------
        max_tokens : int
            T: longer ones are cut; the end token always fits.

        Raises
        ------
        InputError
            If a caption is empty.
        """
        ids = self.tokenizer(list(captions), add_special_tokens=False)["input_ids"] if len(captions) else []
        array = np.full((len(captions), max_tokens), self.ends.pad, np.int32)
        for row, (text, caption) in enumerate(zip(captions, ids, strict=True)):
            if not text.strip():
                raise InputError(
                    f"training caption {row + 1} of {len(captions)} is empty; drop its sample from the corpus"
                )
            cut = [*caption[: max_tokens - 1], self.ends.end]
            array[row, : len(cut)] = cut
        return array

    def decode(self, tokens: Iterable[Sequence[int]]) -> list[str]:
        """
        Turn ids into captions, on one line each, without blanks at the ends.

        Parameters
        ----------
        tokens : iterable of sequence of int
            Up to the end token, if there is one; special tokens are left out.
        """
        special = {self.ends.pad, self.ends.start, self.ends.end, *self.ends.never}
        captions = []
        for caption in tokens:
            said = list(caption)
            said = said[: said.index(self.ends.end)] if self.ends.end in said else said
            text = self.tokenizer.decode([token for token in said if token not in special])
            captions.append(re.sub(r"\s+", " ", str(text)).strip())
        return captions


def words_of(captions: Iterable[str], min_count: int) -> Vocabulary:
    """
    Build a word-level vocabulary: lower case; punctuation marks are words of their own.

    Parameters
    ----------
    min_count : int
        Rarer words are unknown, and never said.
    """
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Split(Regex(PUNCTUATION), "isolated")]
    )
    tokenizer.decoder = decoders.Metaspace()
    special = [PAD, UNKNOWN, START, END]
    tokenizer.train_from_iterator(
        captions, trainers.WordLevelTrainer(special_tokens=special, min_frequency=min_count, show_progress=False)
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, unk_token=UNKNOWN, bos_token=START, eos_token=END
    )
    pad, unknown, start, end = range(len(special))  # the trainer puts special tokens first
    return Vocabulary(fast, Ends(pad, start, end, never=(pad, unknown, start)))


def words_of_model(folder: str, revision: str | None) -> Vocabulary:
    """
    Take the vocabulary of a pretrained language model; a full stop ends a caption.

    Parameters
    ----------
    folder, revision : str
        Folder or hub id of a GPT-2, and the commit on the hub.

    Raises
    ------
    InputError
        If there is no tokenizer.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, revision=revision or "main")
    except UNREADABLE as error:
        raise missing(
            f"caption.clipcap.language_model: {folder}: no tokenizer there ({reason(error)})",
            "name a folder, or a hub id that this machine can reach",
        ) from None
    end = tokenizer.eos_token_id
    if end is None:
        raise InputError(f"caption.clipcap.language_model: {folder}: its tokenizer has no end token; use a GPT-2")
    stops = tokenizer.encode(".", add_special_tokens=False)
    return Vocabulary(tokenizer, Ends(end, end, end, stops=tuple(stops) if len(stops) == 1 else ()))
