import shutil
from collections import Counter
from collections.abc import Sequence
from math import exp, log

import numpy as np
import pytest

from stages.core.errors import InputError
from stages.evaluate.caption_quality import (
    clip_score,
    score,
    variety,
)

WORDS = ["a", "the", "man", "woman", "dog", "on", "with", "red", "blue", "hat", "bench", "sits", "rides", "horse"]


def caption_set(seed: int) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Captions that share words and phrases with their references, of other lengths, some with repeated words."""
    rng = np.random.default_rng(seed)
    candidates, references = {}, {}
    for index in range(int(rng.integers(2, 12))):
        truth = [rng.choice(WORDS, int(rng.integers(3, 12))).tolist() for _ in range(int(rng.integers(1, 6)))]
        base = list(truth[0])
        for _ in range(int(rng.integers(0, 5))):
            base[int(rng.integers(len(base)))] = str(rng.choice(WORDS))
        candidates[f"{index:03d}"] = " ".join(base[: int(rng.integers(2, len(base) + 1))])
        references[f"{index:03d}"] = [" ".join(caption) for caption in truth]
    return candidates, references


def ngrams(words: Sequence[str], n: int) -> Counter:
    return Counter(tuple(words[start : start + n]) for start in range(len(words) - n + 1))


def bleu_4(candidates: dict[str, str], references: dict[str, list[str]]) -> float:
    """Papineni et al., corpus level, closest reference length; the COCO code smooths 0 counts by 1e-15 over 1e-9."""
    hits, total, length, closest = [0] * 4, [0] * 4, 0, 0
    for key, caption in candidates.items():
        said, truth = caption.split(), [reference.split() for reference in references[key]]
        length += len(said)
        closest += min((abs(len(words) - len(said)), len(words)) for words in truth)[1]
        for n in range(4):
            known = Counter()
            for words in truth:
                known |= ngrams(words, n + 1)
            hits[n] += (ngrams(said, n + 1) & known).total()
            total[n] += max(len(said) - n, 0)
    precision = [(hit + 1e-15) / (count + 1e-9) for hit, count in zip(hits, total, strict=True)]
    return exp(sum(log(value) for value in precision) / 4) * min(1.0, exp(1 - closest / length))


def cider_d(candidates: dict[str, str], references: dict[str, list[str]]) -> list[float]:
    """Vedantam et al., section 4, clipped and with the Gaussian length penalty (σ = 6), as dense vectors."""
    scores = np.zeros(len(candidates))
    for n in range(1, 5):
        truth = {key: [ngrams(caption.split(), n) for caption in many] for key, many in references.items()}
        said = {key: ngrams(caption.split(), n) for key, caption in candidates.items()}
        grams = sorted({gram for many in (*truth.values(), [*said.values()]) for counts in many for gram in counts})
        position = {gram: index for index, gram in enumerate(grams)}
        seen = Counter(gram for many in truth.values() for gram in set().union(*many))
        idf = np.array([log(len(references)) - log(max(1, seen[gram])) for gram in grams])

        def vector(counts: Counter, position: dict = position, idf: np.ndarray = idf) -> np.ndarray:
            dense = np.zeros(len(idf))
            for gram, count in counts.items():
                dense[position[gram]] = count
            return dense * idf

        for row, key in enumerate(candidates):
            guess, parts = vector(said[key]), []
            for reference, counts in zip(references[key], truth[key], strict=True):
                right = vector(counts)
                norm = np.linalg.norm(guess) * np.linalg.norm(right)
                cosine = np.minimum(guess, right) @ right / norm if norm else 0.0
                # the COCO code takes the number of bigrams for the length
                gap = max(len(candidates[key].split()) - 1, 0) - max(len(reference.split()) - 1, 0)
                parts.append(10 * cosine * exp(-(gap**2) / 72))
            scores[row] += np.mean(parts) / 4
    return scores.tolist()


def rouge_l(candidate: str, references: list[str]) -> float:
    """Lin 2004: longest common subsequence, F with β = 1.2 from the best recall and the best precision."""

    def common(a: list[str], b: list[str]) -> int:
        if not a or not b:
            return 0
        table = np.zeros((len(a) + 1, len(b) + 1), int)
        for i, j in np.ndindex(len(a), len(b)):
            table[i + 1, j + 1] = table[i, j] + 1 if a[i] == b[j] else max(table[i, j + 1], table[i + 1, j])
        return int(table[-1, -1])

    said = candidate.split()
    lengths = [common(said, reference.split()) for reference in references]
    precision = max(lengths) / len(said)
    recall = max(length / len(reference.split()) for length, reference in zip(lengths, references, strict=True))
    return (1 + 1.44) * precision * recall / (recall + 1.44 * precision) if precision else 0.0


@pytest.mark.parametrize("seed", range(50))
def test_scores_agree_with_an_independent_implementation(seed: int) -> None:
    candidates, references = caption_set(seed)
    found = score(candidates, references)
    assert found["bleu_4"] == pytest.approx(bleu_4(candidates, references), abs=1e-6)
    assert found["cider"] == pytest.approx(np.mean(cider_d(candidates, references)), abs=1e-6)
    expected = np.mean([rouge_l(candidates[key], references[key]) for key in candidates])
    assert found["rouge_l"] == pytest.approx(expected, abs=1e-6)


def test_a_copied_reference_is_perfect() -> None:
    references = {"a": ["a man on a red horse"], "b": ["the woman with a blue hat sits"], "c": ["a dog"]}
    found = score({key: many[0] for key, many in references.items()}, references)
    assert found["bleu_4"] == pytest.approx(1)
    assert found["rouge_l"] == pytest.approx(1)
    assert found["cider"] == pytest.approx((10 + 10 + 5) / 3)  # a caption of two words has no trigrams


def test_no_common_word_scores_nothing() -> None:
    found = score({"a": "x y z w v", "b": "p q r s t"}, {"a": ["a man on a horse"], "b": ["the dog sits with a hat"]})
    assert (found["rouge_l"], found["cider"]) == (0, 0)
    assert found["bleu_4"] < 1e-9


def test_case_punctuation_and_order_of_keys_do_not_count() -> None:
    candidates, references = caption_set(3)
    shouted = {key: f"{candidates[key].upper()} ." for key in reversed(candidates)}
    assert score(shouted, references) == score(candidates, references)


def test_variety_by_hand() -> None:
    assert variety(["a red hat", "A red hat.", "a dog"]) == {
        "distinct_1": 4 / 8,  # a red hat dog
        "distinct_2": 3 / 5,  # a-red red-hat a-dog
        "unique": 2 / 3,
        "length": 8 / 3,
    }


def test_clip_score_by_hand() -> None:
    images = np.array([[2.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    captions = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0]])
    assert clip_score(images, captions).tolist() == pytest.approx([2.5, 0, 2.5 / 2**0.5])


@pytest.mark.parametrize(
    ("candidates", "references", "message"),
    [
        ({}, {}, "found no captions"),
        ({"a": "x"}, {}, "image a .* lacks references"),
        ({"a": "x"}, {"a": ["x"], "b": ["y"]}, "image b .* lacks a generated caption"),
        ({"a": "x"}, {"a": []}, "image a has no reference caption"),
        (
            {"a": "x"},
            {"a": ["x", "!"]},
            "image a has an empty reference caption, expected words; correct the evaluation set",
        ),
    ],
)
def test_bad_captions_are_named(candidates: dict, references: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score(candidates, references)


def test_a_caption_without_words_scores_nothing_and_the_others_as_before() -> None:
    references = {"a": ["a red hat on a bench"], "b": ["a dog on the red bench"]}
    said = {"a": "a red hat on a bench", "b": " ."}
    quality = score(said, references)
    assert quality["rouge_l"] == pytest.approx(0.5)
    # 6 of 6 words are right, but 6 words are said where the references have 12: the penalty of shortness is e^(1 - 2)
    assert quality["bleu_4"] == pytest.approx(exp(-1), rel=1e-6)
    assert (quality["length"], quality["unique"]) == (3, 1)


def test_a_captioner_that_says_nothing_at_all_scores_nothing() -> None:
    found = score({"a": "", "b": "!"}, {"a": ["a hat"], "b": ["a dog"]})
    assert found.pop("unique") == 0.5  # both say the same
    assert set(found.values()) == {0}


def test_meteor_without_java_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="found no java"):
        score({"a": "a hat"}, {"a": ["a hat"]}, meteor=True)


@pytest.mark.skipif(shutil.which("java") is None, reason="METEOR 1.5 runs on Java")
def test_meteor_knows_stems_and_synonyms() -> None:
    found = score({"a": "a man riding a large horse"}, {"a": ["a man rides a big horse"]}, meteor=True)
    assert 0.6 < found["meteor"] < 1  # four of six words as they stand: below .5 without stems and synonyms
