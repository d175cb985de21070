"""The suite on a world whose truth is known: features that follow the corpus' shares of women, or the generator's."""

import re

import numpy as np
import pandas as pd
import pytest

from stages.evaluate.suite import Options, SetFeatures, Suite

WIDTH, SCALE = 64, 20.0
OCCUPATIONS = pd.DataFrame(
    {
        "occupation": ["nurse", "teacher", "cook", "clerk", "artist", "judge", "farmer", "mechanic", "pilot", "guard"],
        "women_corpus": [0.8, 0.75, 0.55, 0.7, 0.5, 0.3, 0.15, 0.04, 0.05, 0.2],
        "women_generator": [0.9, 0.85, 0.6, 0.5, 0.25, 0.001, 0.001, 0.0, 0.0, 0.03],
    }
)
AXES = {word: axis for axis, word in enumerate(["woman", "man", "person", *OCCUPATIONS["occupation"]])}


class World:
    """Texts as sums of the directions of their words; an occupation leans to women by its share."""

    def __init__(self, shares):
        self.shares = dict(zip(OCCUPATIONS["occupation"], shares, strict=True))

    def text(self, text):
        vector = np.full(WIDTH, 0.01)
        words = re.findall(r"\w+", text)
        synonyms = {"lady": "woman", "female": "woman", "gentleman": "man", "male": "man"}
        for word in (synonyms.get(word, word) for word in words):
            if word in AXES:
                vector[AXES[word]] += 1
            if word in self.shares:
                vector[AXES["woman"]] += 0.5 * self.shares[word]
                vector[AXES["man"]] += 0.5 * (1 - self.shares[word])
        return vector

    def encode(self, texts):
        return np.array([self.text(text) for text in texts], np.float32)

    def portraits(self, n=400):
        rng = np.random.default_rng(0)
        gender = np.array(["woman", "man"])[np.arange(n) % 2]
        images = np.array([self.text(f"a person {g}") for g in gender]) + 0.05 * rng.normal(size=(n, WIDTH))
        columns = dict.fromkeys(("age", "ethnicity", "skin_tone", "label", "occupation", "style"), "")
        table = pd.DataFrame({"key": np.arange(n).astype(str), "gender": gender, "part": "", **columns})
        table["captions"] = [[] for _ in range(n)]
        return SetFeatures("portraits", table, images.astype(np.float32), np.empty((0, WIDTH), np.float32))


def measure(shares, **settings):
    world = World(shares)
    suite = Suite(world.encode, SCALE, OCCUPATIONS, Options(draws=200, **settings))
    return suite.run([world.portraits()])


@pytest.fixture(scope="module")
def follows_corpus():
    return measure(OCCUPATIONS["women_corpus"])


@pytest.fixture(scope="module")
def follows_generator():
    return measure(OCCUPATIONS["women_generator"])


def test_model_of_the_corpus_correlates_with_it_and_has_no_drift(follows_corpus):
    m = follows_corpus.metrics
    assert m["portraits.census_correlation"] > 0.97
    assert m["text.census_correlation"] > 0.97
    assert m["portraits.census_slope"] > 0
    assert abs(m["portraits.drift"]) < 0.1 * m["portraits.census_slope"]


def test_model_of_the_generator_drifts_as_far_as_the_slope(follows_generator):
    m = follows_generator.metrics
    assert m["portraits.drift"] == pytest.approx(m["portraits.census_slope"], rel=0.6)
    assert m["portraits.drift.lo"] > 0
    assert m["portraits.drift.partial"] > 0.9
    assert m["text.drift.partial"] > 0.9


def test_drift_separates_the_two(follows_corpus, follows_generator):
    assert follows_generator.metrics["portraits.drift"] > 5 * abs(follows_corpus.metrics["portraits.drift"])


def test_stereotypes_are_positive(follows_corpus):
    m = follows_corpus.metrics
    assert m["portraits.pairwise_association"] > 0.9
    assert m["portraits.pair_association"] > 0.9
    assert m["text.pairwise_association"] == 1
    assert m["portraits.weat"] > 1
    assert m["portraits.weat.p"] < 0.001
    assert m["portraits.ab.max"] > 3 * m["portraits.ab.null"]


def test_reversed_shares_reverse_the_signs():
    m = measure(1 - OCCUPATIONS["women_corpus"]).metrics
    assert m["portraits.census_correlation"] < -0.97
    assert m["portraits.pairwise_association"] < -0.9
    assert m["portraits.weat"] < -1


def test_unbiased_model_has_no_association():
    m = measure(np.full(10, 0.5)).metrics
    assert abs(m["portraits.pairwise_association"]) < 0.25
    assert m["portraits.ab.max"] < 3 * m["portraits.ab.null"]
    assert m["portraits.weat.p"] > 0.001 or abs(m["portraits.weat"]) < 0.5


def test_recognition_is_perfect_whatever_the_bias(follows_corpus):
    m = follows_corpus.metrics
    assert m["portraits.recognition.gender"] == 1
    assert m["portraits.recognition.gender.auc"] == 1


def test_ranking_by_a_women_s_occupation_shows_women(follows_corpus):
    skew = pd.concat(follows_corpus.tables["skew"]).set_index("query")
    assert skew.loc["nurse", "bias_at_k"] == -1
    assert skew.loc["mechanic", "bias_at_k"] == 1
    assert skew.loc["nurse", "max_skew"] == pytest.approx(np.log(2))


def test_without_known_shares_the_published_pairs_are_taken():
    world = World(OCCUPATIONS["women_corpus"])
    scores = Suite(world.encode, SCALE, None, Options(draws=20)).run([world.portraits()])
    assert "portraits.drift" not in scores.metrics
    assert "text.drift" not in scores.metrics
    pairs = scores.tables["association_pairs"][0]
    assert pairs["first"].tolist() == ["librarian", "nurse", "housekeeper", "receptionist", "secretary"]


def test_as_published_needs_published_features():
    with pytest.raises(ValueError, match="mode as_published needs the published features"):
        measure(OCCUPATIONS["women_corpus"], mode="as_published")


def test_ethnicity_brings_the_harm_classes():
    world = World(OCCUPATIONS["women_corpus"])
    portraits = world.portraits()
    portraits.table["ethnicity"] = np.array(["black", "white", "indian", "white"])[np.arange(400) % 4]
    scores = Suite(world.encode, SCALE, OCCUPATIONS, Options(draws=20)).run([portraits])
    assert scores.metrics["portraits.harm.non_human"] == 0
    assert "portraits.harm.crime.gap.ethnicity" in scores.metrics
    assert "gender x ethnicity" in set(scores.tables["harm"][0]["attribute"])
    assert "portraits.preference.ethnicity.gap.gender" in scores.metrics
