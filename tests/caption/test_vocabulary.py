from pathlib import Path

import numpy as np
import pytest
from transformers import GPT2LMHeadModel

from stages.caption.clipcap import pretrained_gpt2
from stages.caption.vocabulary import words_of, words_of_model
from stages.core.errors import InputError

CAPTIONS = ["A dark-skinned woman, happy", "a man who's happy", "a woman: a teacher!", "Ein Mädchen"]


def test_captions_come_back_in_lower_case() -> None:
    vocabulary = words_of(CAPTIONS, min_count=1)
    assert vocabulary.decode(vocabulary.encode(CAPTIONS, 16).tolist()) == [caption.lower() for caption in CAPTIONS]


def test_a_caption_is_its_words_the_end_and_padding() -> None:
    vocabulary = words_of(CAPTIONS, min_count=1)
    row = vocabulary.encode(["a woman, happy"], 7)[0].tolist()
    assert len(set(row[:4])) == 4  # the comma is a word
    assert row[4:] == [vocabulary.ends.end, vocabulary.ends.pad, vocabulary.ends.pad]


def test_long_captions_are_cut_before_the_end() -> None:
    vocabulary = words_of(CAPTIONS, min_count=1)
    rows = vocabulary.encode(["a woman a teacher a man"], 4)
    assert rows[0, -1] == vocabulary.ends.end
    assert vocabulary.decode(rows.tolist()) == ["a woman a"]


def test_rare_words_are_unknown_and_never_said() -> None:
    vocabulary = words_of(CAPTIONS, min_count=2)
    ids = vocabulary.encode(["a teacher"], 4)[0]
    assert ids[1] in vocabulary.ends.never
    assert vocabulary.decode([ids.tolist()]) == ["a"]


def test_ids_do_not_depend_on_the_order_of_captions_with_other_counts() -> None:
    assert (words_of(CAPTIONS, 1).encode(CAPTIONS, 9) == words_of(CAPTIONS, 1).encode(CAPTIONS, 9)).all()


def test_no_captions_give_no_rows() -> None:
    assert words_of(CAPTIONS, 1).encode([], 5).shape == (0, 5)


def test_an_empty_caption_is_named() -> None:
    with pytest.raises(InputError, match="training caption 2 of 2 is empty"):
        words_of(CAPTIONS, 1).encode(["a man", " "], 5)


def test_a_pretrained_vocabulary_ends_at_its_end_token_and_stops_at_a_full_stop(gpt2_folder: Path) -> None:
    vocabulary = words_of_model(str(gpt2_folder), None)
    assert vocabulary.ends.pad == vocabulary.ends.end
    assert len(vocabulary.ends.stops) == 1
    rows = vocabulary.encode(["A man.", "a woman"], 24)
    assert vocabulary.decode(rows.tolist()) == ["A man.", "a woman"]
    assert (rows == vocabulary.ends.end).any(axis=1).all()


def test_a_pretrained_model_keeps_its_weights(gpt2_folder: Path) -> None:
    again = pretrained_gpt2(str(gpt2_folder), None)
    reference = GPT2LMHeadModel.from_pretrained(gpt2_folder)
    for mine, theirs in zip(again.parameters(), reference.parameters(), strict=True):
        assert np.array_equal(mine.detach().numpy(), theirs.detach().numpy())


@pytest.mark.parametrize("load", [words_of_model, pretrained_gpt2])
def test_a_missing_model_is_named(load, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"language_model: .*nothing"):
        load(str(tmp_path / "nothing"), None)
