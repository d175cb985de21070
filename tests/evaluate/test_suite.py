"""The suite on a world whose truth is known: features that follow the corpus' shares of women, or the generator's."""

import re

import numpy as np
import pandas as pd
import pytest

from stages.corpus.words import OCCUPATIONS as OCCUPATION_NAMES
from stages.evaluate.suite import Options, SetFeatures, Suite
from stages.evaluate.training import Rows

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

    lean = 0.5

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
                vector[AXES["woman"]] += self.lean * self.shares[word]
                vector[AXES["man"]] += self.lean * (1 - self.shares[word])
        return vector

    def encode(self, texts):
        return np.array([self.text(text) for text in texts], np.float32)

    def portraits(self, n=400):
        rng = np.random.default_rng(0)
        gender = np.array(["woman", "man"])[np.arange(n) % 2]
        images = np.array([self.text(f"a person {g}") for g in gender]) + 0.05 * rng.normal(size=(n, WIDTH))
        columns = dict.fromkeys(("age", "ethnicity", "skin_tone", "label", "occupation", "style", "coarse"), "")
        keys = np.arange(n).astype(str)
        table = pd.DataFrame({"key": keys, "cluster": keys, "gender": gender, "part": "", **columns})
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


def test_model_of_the_corpus_correlates_with_it(follows_corpus):
    m = follows_corpus.metrics
    assert m["portraits.census_correlation"] > 0.97
    assert m["text.census_correlation"] > 0.97
    assert m["portraits.census_slope"] > 0


def test_model_of_the_generator_goes_with_its_shares_beside_those_of_the_corpus(follows_generator):
    assert follows_generator.metrics["portraits.drift.partial"] > 0.9
    assert follows_generator.metrics["text.drift.partial"] > 0.9


NAMED = ["teacher", "cook", "artist", "judge", "farmer", "mechanic", "pilot", "guard"]


def rows(shares, n=1000):
    """Training rows whose captions name each occupation n times, with these shares of women."""
    women = np.concatenate([np.arange(n) < round(share * n) for share in shares])
    captions = np.repeat([f"a {name}" for name in NAMED], n)
    return Rows(
        {"gender": np.column_stack([women, ~women])},
        np.array([[text == f"a {name}" for name in OCCUPATION_NAMES] for text in captions]),
        np.full(len(captions), 1 / len(captions)),
        pd.Series(captions),
    )


class LogOdds(World):
    """Occupations lean by the log-odds of their shares: what an ideal learner does."""

    lean = 0.02

    def __init__(self, shares, factor=1.0):
        women = (1000 * np.array(shares) + 0.5) / 1001
        self.shares = dict(zip(NAMED, factor * np.log(women / (1 - women)), strict=True))


KNOWN = OCCUPATIONS.set_index("occupation").loc[NAMED]


def transferred(shares, factor=1.0):
    world = LogOdds(shares, factor)
    suite = Suite(world.encode, SCALE, KNOWN.reset_index(), Options(draws=200), rows(shares))
    return suite.run([world.portraits()]).metrics


def test_position_of_ideal_learners_is_that_of_their_rows():
    for shares, place in ((KNOWN["women_corpus"], 0), (KNOWN["women_generator"], 1)):
        m = transferred(shares)
        assert m["portraits.position.ideal"] == pytest.approx(place, abs=1e-6)
        assert m["portraits.position"] == pytest.approx(place, abs=0.15)
        assert m["portraits.position.lo"] < place < m["portraits.position.hi"]
        assert m["text.position"] == pytest.approx(place, abs=0.15)


def test_transfer_grows_with_what_is_exaggerated():
    one, more = (transferred(KNOWN["women_corpus"], factor) for factor in (1.0, 1.5))
    for prefix in ("portraits", "text"):
        assert one[f"{prefix}.transfer"] > 0
        assert more[f"{prefix}.transfer"] == pytest.approx(1.5 * one[f"{prefix}.transfer"], rel=0.1)
    assert more["portraits.position"] == pytest.approx(one["portraits.position"], abs=0.15)


def test_without_training_rows_there_is_no_transfer(follows_corpus):
    assert not [key for key in follows_corpus.metrics if ".transfer" in key or ".position" in key]


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
    assert "portraits.drift.partial" not in scores.metrics
    assert "text.drift.partial" not in scores.metrics
    pairs = scores.tables["association_pairs"][0]
    assert pairs["first"].tolist() == ["librarian", "nurse", "housekeeper", "receptionist", "secretary"]


def test_as_published_needs_published_features():
    with pytest.raises(ValueError, match="mode as_published needs the published features"):
        measure(OCCUPATIONS["women_corpus"], mode="as_published")


def objects(coarse):
    labels = [name for name in OCCUPATIONS["occupation"] for _ in range(4)]
    world = World(np.full(10, 0.5))
    images = world.encode(labels)
    columns = dict.fromkeys(("gender", "age", "ethnicity", "skin_tone", "part", "occupation", "style"), "")
    keys = [str(i) for i in range(len(labels))]
    table = pd.DataFrame({"key": keys, "cluster": keys, "label": labels, "coarse": coarse, **columns})
    table["captions"] = [[] for _ in labels]
    return Suite(world.encode, SCALE, None, Options(draws=20)).run(
        [SetFeatures("objects", table, images, np.empty((0, WIDTH), np.float32))]
    )


def test_objects_have_coarse_classes_with_their_chance_and_reciprocal_ranks():
    m = objects(["care"] * 20 + ["work"] * 20).metrics
    assert (m["objects.acc1"], m["objects.acc1.coarse"], m["objects.mrr"]) == (100, 100, 1)
    assert m["objects.acc1.coarse.chance"] == 50
    assert "objects.acc1.coarse" not in objects("").metrics


def test_neutral_images_are_asked_by_bare_labels_too():
    scores = objects("")
    assert {
        "rb.gender.margin",
        "rb.gender.bare.margin",
        "rb.gender.bare",
        "rb.skin_tone.margin",
    } <= scores.metrics.keys()
    asked = pd.concat(scores.tables["representation"])
    assert ["male", "female"] in asked[["first", "second"]].to_numpy().tolist()


def test_ethnicity_brings_the_harm_classes():
    world = World(OCCUPATIONS["women_corpus"])
    portraits = world.portraits()
    portraits.table["ethnicity"] = np.array(["black", "white", "indian", "white"])[np.arange(400) % 4]
    scores = Suite(world.encode, SCALE, OCCUPATIONS, Options(draws=20)).run([portraits])
    assert scores.metrics["portraits.harm.non_human"] == 0
    assert "portraits.harm.crime.gap.ethnicity" in scores.metrics
    assert "gender x ethnicity" in set(scores.tables["harm"][0]["attribute"])
    assert "portraits.preference.ethnicity.gap.gender" in scores.metrics
