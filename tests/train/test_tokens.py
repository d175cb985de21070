import json
from pathlib import Path

import open_clip
import torch
from tokenizers import Tokenizer

from stages.train import tokens

CAPTIONS = ["a red circle", "a drawing of a fire engine", "the farmer’s hat", "Élan vital", "a red square"] * 3


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text).ids


def test_the_same_captions_in_any_order_give_the_same_vocabulary() -> None:
    one, two = tokens.learn(CAPTIONS, 320, 8), tokens.learn(reversed(CAPTIONS), 320, 8)
    assert one.to_str() == two.to_str()


def test_the_vocabulary_is_no_larger_than_asked_for() -> None:
    assert tokens.learn(CAPTIONS, 270, 8).get_vocab_size() <= 270


def test_a_text_ends_with_the_largest_id_and_is_padded_with_zero() -> None:
    tokenizer = tokens.learn(CAPTIONS, 400, 8)
    encoded = ids(tokenizer, "a red circle")
    end = tokenizer.get_vocab_size() - 1
    assert len(encoded) == 8
    assert encoded.count(end) == 1
    assert set(encoded[encoded.index(end) + 1 :]) == {0}


def test_a_long_text_is_cut_and_keeps_its_end() -> None:
    tokenizer = tokens.learn(CAPTIONS, 400, 8)
    assert ids(tokenizer, "a red circle " * 9)[-1] == tokenizer.get_vocab_size() - 1


def test_any_text_has_tokens_and_comes_back() -> None:
    tokenizer = tokens.learn(CAPTIONS, 400, 40)
    assert tokenizer.decode(ids(tokenizer, "zebra 日本")) == " zebra 日本"


def test_case_does_not_matter() -> None:
    tokenizer = tokens.learn(CAPTIONS, 400, 8)
    assert ids(tokenizer, "A RED Circle") == ids(tokenizer, "a red circle")


def test_open_clip_loads_it_and_agrees(tmp_path: Path) -> None:
    tokenizer = tokens.learn(CAPTIONS, 400, 8)
    tokens.save(tokenizer, tmp_path, 8)
    config = {"text_cfg": {"context_length": 8, "hf_tokenizer_name": "."}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    texts = [*CAPTIONS[:5], "something “new”", ""]
    loaded = open_clip.get_tokenizer(f"local-dir:{tmp_path}")(texts)
    assert torch.equal(loaded, torch.tensor([ids(tokenizer, text) for text in texts]))
