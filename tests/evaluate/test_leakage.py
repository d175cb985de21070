from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from stages.core.errors import InputError
from stages.evaluate import bootstrap
from stages.evaluate.leakage import (
    ATTRIBUTE_WORDS,
    FEMININE,
    MASCULINE,
    MASK,
    UNKNOWN,
    Classifier,
    _split,
    gender_named,
    lic,
    mask,
    words,
)

PLAIN = ["a {} with a dog", "the {} in a park", "one {} near a tree", "some {} on a bench", "a {} eating an apple"]
SMALL = Classifier(embedding=16, hidden=16, layers=1, dropout=0.2, learning_rate=1e-2, epochs=6, batch_size=32)
METHODS_LIST = """man men male father gentleman gentlemen boy boys uncle husband actor prince waiter son he his him
himself brother brothers guy guys emperor emperors dude dudes cowboy woman women female lady ladies mother girl girls
aunt wife actress princess waitress daughter she her hers herself sister sisters queen queens pregnant"""


def corpus(n: int, seed: int, proxy: float = 0.0) -> tuple[dict[str, str], dict[str, str]]:
    """Captions of n women and n men; with probability `proxy` a word that is not masked gives the gender away."""
    rng = np.random.default_rng(seed)
    captions, labels = {}, {}
    for index in range(2 * n):
        gender = ("woman", "man")[index % 2]
        frame = PLAIN[int(rng.integers(len(PLAIN)))]
        told = rng.random() < proxy
        said = frame.format(gender) + ((" with makeup" if gender == "woman" else " with stubble") if told else " today")
        captions[f"{index:05d}"], labels[f"{index:05d}"] = said, gender
    return captions, labels


def test_words_are_lower_case_without_punctuation() -> None:
    assert words("A dark-skinned Woman's hat, red.") == ["a", "dark-skinned", "woman", "s", "hat", "red"]


def test_the_masked_words_are_those_of_the_methods_page_and_no_other() -> None:
    assert set(METHODS_LIST.split()) == ATTRIBUTE_WORDS["gender"] == MASCULINE | FEMININE
    assert not MASCULINE & FEMININE


@pytest.mark.parametrize("word", METHODS_LIST.split())
def test_each_listed_word_is_masked_in_any_case(word: str) -> None:
    masked = mask(words(f"a {word.upper()} and a human"), ATTRIBUTE_WORDS["gender"])
    assert masked == ["a", MASK, "and", "a", "human"]


def test_other_words_are_left() -> None:
    said = ["manly", "womanly", "mankind", "boyish", "human", "person"]
    assert mask([*said, "she-wolf"], ATTRIBUTE_WORDS["gender"]) == [*said, MASK]  # a compound holds the listed word


def test_tones_of_one_and_of_two_words_look_alike_when_masked() -> None:
    tones = ["light", "medium-light", "medium", "medium-dark", "dark"]
    hidden = {tuple(mask(words(f"a person with {tone} skin"), ATTRIBUTE_WORDS["skin_tone"])) for tone in tones}
    assert hidden == {("a", "person", "with", MASK, "skin")}


def test_words_beyond_the_captioners_vocabulary_are_unknown_and_masking_comes_first() -> None:
    masked = mask(words("a man rides a unicycle"), {"man"}, {"a", "rides"})
    assert masked == ["a", MASK, "rides", "a", UNKNOWN]


def test_captions_that_leak_nothing_score_chance() -> None:
    captions, labels = corpus(300, seed=1)
    references = {key: [caption, caption.upper()] for key, caption in captions.items()}
    found = lic(captions, references, labels, masked=ATTRIBUTE_WORDS["gender"], classifier=SMALL, seeds=[0, 1, 2])
    assert found.chance == 25
    assert found.summary["value"]["lic_m"] == pytest.approx(25, abs=5)
    assert found.summary["lo"]["lic"] <= 0 <= found.summary["hi"]["lic"]


def test_an_unmasked_proxy_is_found() -> None:
    generated, labels = corpus(200, seed=2, proxy=0.8)
    human = {key: [caption] for key, caption in corpus(200, seed=3)[0].items()}
    found = lic(generated, human, labels, masked=ATTRIBUTE_WORDS["gender"], classifier=SMALL, seeds=[0, 1])
    assert found.summary["value"]["lic_m"] > 55
    assert found.summary["lo"]["lic"] > 15


def test_equal_captions_have_no_leakage_of_their_own() -> None:
    captions, labels = corpus(60, seed=4, proxy=0.5)
    shouted = {key: [caption.upper()] for key, caption in captions.items()}
    found = lic(captions, shouted, labels, masked=ATTRIBUTE_WORDS["gender"], classifier=SMALL, seeds=[0, 12])
    assert found.seeds["lic"].tolist() == [0.0, 0.0]
    assert found.summary.loc["lic", ["value", "std", "lo", "hi"]].tolist() == [0, 0, 0, 0]


def test_shuffled_labels_score_chance() -> None:
    generated, labels = corpus(300, seed=5, proxy=1.0)
    rng = np.random.default_rng(0)
    shuffled = dict(zip(labels, rng.permutation(list(labels.values())).tolist(), strict=True))
    references = {key: [caption] for key, caption in generated.items()}
    found = lic(generated, references, shuffled, masked=ATTRIBUTE_WORDS["gender"], classifier=SMALL, seeds=[0, 1, 2])
    assert found.summary["value"]["lic_m"] < 35


def test_the_human_score_is_the_mean_over_references_in_the_captioners_words() -> None:
    generated, labels = corpus(60, seed=6)
    leaky, _ = corpus(60, seed=6, proxy=1.0)
    both = {key: [generated[key], leaky[key]] for key in generated}
    alone = [{key: [captions[index]] for key, captions in both.items()} for index in (0, 1)]
    arguments = {"masked": ATTRIBUTE_WORDS["gender"], "classifier": SMALL, "seeds": [7], "draws": 10}
    scores = [lic(generated, references, labels, **arguments).seeds["lic_d"][0] for references in (both, *alone)]
    assert scores[0] == pytest.approx((scores[1] + scores[2]) / 2, abs=1e-9)
    knows = {**generated, min(generated): f"{generated[min(generated)]} makeup stubble"}
    assert lic(knows, alone[1], labels, **arguments).seeds["lic_d"][0] > scores[2] + 20  # else makeup is unknown


def test_each_value_counts_as_often_as_the_rarest_and_the_tenth_is_held_out() -> None:
    captions, labels = corpus(100, seed=8)
    for key in [key for key, gender in labels.items() if gender == "man"][:60]:
        del captions[key]
    references = {key: [caption] for key, caption in captions.items()}
    found = lic(captions, references, labels, masked={"man", "woman"}, classifier=SMALL, seeds=[0], draws=10)
    assert (found.seeds["train"][0], found.seeds["test"][0]) == (72, 8)
    assert [labels[key] for key in found.items["key"]].count("man") == 4


@pytest.mark.parametrize("seed", range(5))
def test_no_figure_lies_on_both_sides_of_the_split(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cluster = np.sort(rng.integers(0, 60, 400))  # of unequal sizes
    target = np.where(cluster % 3 == 2, rng.integers(0, 2, 400), cluster % 3)  # a third of them show both values
    train, test = _split(target, bootstrap.numbered(cluster), 0.25, rng, ["a", "b"])
    assert not set(cluster[train]) & set(cluster[test])
    for part in (train, test):
        assert np.bincount(target[part]).tolist() == [len(part) / 2] * 2
    assert 0.15 < len(test) / (len(train) + len(test)) < 0.35


def test_a_word_of_a_figure_leaks_nothing_when_figures_are_held_out() -> None:
    rng = np.random.default_rng(0)
    names = [f"figure{'abcdefghijklmnopqrstuvwxyz'[i]}{'xyz'[j]}" for i in range(26) for j in range(3)]
    labels = {f"{i:03d}-{k}": ("woman", "man")[i % 2] for i in range(len(names)) for k in range(6)}
    captions = {key: f"somebody with a {names[int(key[:3])]} {rng.integers(9)}" for key in labels}
    cluster = {key: key[:3] for key in labels}
    references = {key: ["somebody"] for key in labels}
    by_figure, by_image = (
        lic(captions, references, labels, masked=set(), classifier=SMALL, seeds=[0, 1], test_share=0.2, cluster=given)
        for given in (cluster, None)
    )
    assert by_image.metrics()["lic_m"] > 60  # the reader knows the figure from its other pictures
    assert by_figure.metrics()["lic_m"] < 50


def test_equal_seeds_give_equal_figures_and_leave_torch_alone() -> None:
    captions, labels = corpus(40, seed=9, proxy=0.5)
    references = {key: [caption] for key, caption in captions.items()}
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = lic(captions, references, labels, masked={"man"}, classifier=SMALL, seeds=[3], draws=10)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(2)
    second = lic(captions, references, labels, masked={"man"}, classifier=SMALL, seeds=[3], draws=10)
    pd.testing.assert_frame_equal(first.items, second.items)


def test_three_values_have_a_lower_chance() -> None:
    captions, labels = corpus(90, seed=10)
    labels = {key: ("a", "b", "c")[index % 3] for index, key in enumerate(labels)}
    references = {key: [caption] for key, caption in captions.items()}
    found = lic(captions, references, labels, masked=set(), classifier=SMALL, seeds=[0], draws=10)
    assert found.chance == pytest.approx(100 / 9)
    assert found.seeds["test"][0] == 18


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    known = sorted({word for frame in PLAIN for word in words(frame)} | {"with", "makeup", "stubble", "today"})
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[MASK]", *known])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(
        BertConfig(vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                   intermediate_size=32, max_position_embeddings=32)
    ).save_pretrained(folder)  # fmt: skip
    return folder


def test_a_tuned_bert_finds_the_proxy_too(bert: Path) -> None:
    captions, labels = corpus(120, seed=11, proxy=1.0)
    references = {key: [caption] for key, caption in corpus(120, seed=12)[0].items()}
    reader = Classifier(kind="bert", folder=str(bert), hidden=16, learning_rate=1e-2, epochs=6)
    found = lic(captions, references, labels, masked=ATTRIBUTE_WORDS["gender"], classifier=reader, seeds=[0], draws=10)
    assert found.summary["value"]["lic_m"] > 60
    assert found.summary["value"]["lic_d"] < 45


def test_a_frozen_bert_keeps_its_weights(bert: Path) -> None:
    from stages.evaluate.leakage import BERTReader

    reader = BERTReader(str(bert), hidden=8, values=2, frozen=True)
    trained = {name for name, parameter in reader.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in reader.named_parameters() if name.startswith("head.")}


def test_a_missing_bert_is_named(tmp_path: Path) -> None:
    captions, labels = corpus(30, seed=0)
    references = {key: [caption] for key, caption in captions.items()}
    reader = Classifier(kind="bert", folder=str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="nothing: no BERT"):
        lic(captions, references, labels, masked=set(), classifier=reader, seeds=[0])


def test_generated_captions_without_words_leak_no_more_than_chance() -> None:
    generated, labels = corpus(40, seed=0)
    references = {key: [caption] for key, caption in generated.items()}
    found = lic(dict.fromkeys(generated, " ,"), references, labels, masked={"man"}, classifier=SMALL, seeds=[0])
    assert found.items["score_m"].max() <= 100
    assert found.seeds["accuracy_m"][0] == 50  # the one word says nothing: half of a balanced test is right


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g, r, a: r.update({"00003": [""]}), "image 00003 has an empty human caption"),
        (lambda g, r, a: r.update({"00003": []}), "image 00003 has no human captions"),
        (lambda g, r, a: r.pop("00003"), "image 00003 has no human captions"),
        (lambda g, r, a: a.update(dict.fromkeys(a, "man")), "found man alone over 80 captions, expected more"),
        (
            lambda g, r, a: a.update(dict.fromkeys(list(a)[:66], "")),
            "has 7 captions of 14 clusters in all, so 1 for the test",
        ),
    ],
)
def test_bad_captions_are_named(change, message: str) -> None:
    generated, labels = corpus(40, seed=0)
    references = {key: [caption] for key, caption in generated.items()}
    change(generated, references, labels)
    with pytest.raises(InputError, match=message):
        lic(generated, references, labels, masked={"man"}, classifier=SMALL, seeds=[0])


GENDER = {"a": "woman", "b": "woman", "c": "man", "d": "man", "e": ""}
SAID = {"a": "a lady", "b": "a man cooking", "c": "the guy and a girl", "d": "his dog", "e": "a queen"}


def test_gender_error_by_hand() -> None:
    found = gender_named(SAID, GENDER, draws=10)
    table = found.error.set_index("group")
    assert table["n"].to_dict() == {"all": 3, "woman": 2, "man": 1}  # c names both, e has no gender
    assert table["value"].to_dict() == {"all": pytest.approx(1 / 3), "woman": 0.5, "man": 0.0}
    assert table["named"].to_dict() == {"all": 0.75, "woman": 1.0, "man": 0.5}
    assert found.ratio == 1.0  # a and e against b and d
    assert found.metrics()["gender_error_woman"] == 0.5


def test_captions_without_gender_have_no_error() -> None:
    found = gender_named(dict.fromkeys(GENDER, "a person"), GENDER, draws=10)
    assert np.isnan(found.error["value"].to_numpy()).all()
    assert found.metrics() == {"gender_named": 0.0}


def test_gender_error_refuses_what_it_cannot_join() -> None:
    with pytest.raises(InputError, match="image e "):
        gender_named({key: SAID[key] for key in "abcd"}, GENDER)
    with pytest.raises(InputError, match="'Female'"):
        gender_named(SAID, {**GENDER, "a": "Female"})
