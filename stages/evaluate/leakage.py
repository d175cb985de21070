"""What captions give away: LIC with gender words masked, and the gender that captions name wrongly.

**LIC** (leakage in captions). A classifier f learns an attribute a from captions whose attribute words are masked.
Over a held-out tenth, LIC_M is the mean of s_a(ŷ)·1[f(ŷ) = a], where s_a is the probability that f gives to the true
value: confidence counts, and only where f is right. LIC_D is the same for human captions, in the words that the
captioner knows, one classifier a reference caption. LIC = LIC_M − LIC_D, × 100: above 0, the captioner leaks more than
the people it learned from. Captions that give nothing away score 100 / K² for K values (25 for two) or less.

References
----------
Hirota, Nakashima, Garcia: Quantifying Societal Bias Amplification in Image Captioning, CVPR 2022 [P: their repository
`rebnej/lick-caption-bias`].
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from stages.core.errors import InputError, missing
from stages.core.weights import UNREADABLE, reason
from stages.evaluate import bootstrap

MASCULINE = frozenset({
    "man", "men", "male", "father", "gentleman", "gentlemen", "boy", "boys", "uncle", "husband", "actor",
    "prince", "waiter", "son", "he", "his", "him", "himself", "brother", "brothers", "guy", "guys", "emperor",
    "emperors", "dude", "dudes", "cowboy",
})  # fmt: skip
FEMININE = frozenset({
    "woman", "women", "female", "lady", "ladies", "mother", "girl", "girls", "aunt", "wife", "actress",
    "princess", "waitress", "daughter", "she", "her", "hers", "herself", "sister", "sisters", "queen",
    "queens", "pregnant",
})  # fmt: skip
RACE = frozenset({
    "white", "caucasian", "black", "african", "asian", "latino", "latina", "latinx", "hispanic", "native",
    "indigenous",
})  # fmt: skip
TONE = frozenset({"light", "lighter", "medium", "dark", "darker"})  # how Unicode names skin tones [D]
ATTRIBUTE_WORDS = {"gender": MASCULINE | FEMININE, "skin_tone": RACE | TONE, "ethnicity": RACE}
PUBLISHED_SEEDS = (0, 12, 456, 789, 100, 200, 300, 400, 500, 1234)

PAD, UNKNOWN, MASK = "<pad>", "<unk>", "<mask>"
SPECIAL = (PAD, UNKNOWN, MASK)
MAX_WORDS = 25_000  # of the LSTM's vocabulary, as published
WORD = re.compile(r"\w+(?:-\w+)*")


@dataclass(frozen=True)
class Classifier:
    """
    How the attribute is read from captions; the defaults are the published LSTM.

    Attributes
    ----------
    kind : {'lstm', 'bert', 'bert_frozen'}
        A bidirectional LSTM from scratch, or a pretrained BERT, tuned or not (published: AdamW 1e-5 for 5 epochs;
        frozen 5e-5 for 20).
    embedding, hidden, layers, dropout : int, int, int, float
        Widths a word and a direction, stacked layers; dropout on words and before the output. For BERT only `hidden`:
        the width of the head.
    learning_rate, epochs, batch_size : float, int, int
        Of Adam (LSTM) or AdamW (BERT).
    folder : str
        BERT only: folder or hub id of the model and its tokenizer.
    """

    kind: Literal["lstm", "bert", "bert_frozen"] = "lstm"
    embedding: int = 100
    hidden: int = 256
    layers: int = 2
    dropout: float = 0.5
    learning_rate: float = 5e-5
    epochs: int = 20
    batch_size: int = 64
    folder: str = "bert-base-uncased"


@dataclass(frozen=True)
class Leakage:
    """
    LIC over several seeds.

    Attributes
    ----------
    items : DataFrame
        One row a seed and test caption: seed, cluster, key, score_m, score_d (mean over references), × 100.
    seeds : DataFrame
        One row a seed: seed, train, test (captions), lic_m, lic_d, lic, accuracy_m, accuracy_d (percent).
    summary : DataFrame
        Rows lic_m, lic_d, lic: value (mean over seeds), std (over seeds, ddof 1; NaN with one seed), lo, hi (95 %
        bootstrap over clusters of test images; each image keeps its generated and its human captions), n (captions).
    chance : float
        Score × 100 of captions that give nothing away, met by a classifier without any confidence.
    """

    items: pd.DataFrame
    seeds: pd.DataFrame
    summary: pd.DataFrame
    chance: float

    def metrics(self) -> dict[str, float]:
        """Return lic_m, lic_d, lic as flat figures, each with its spread over seeds where there are several."""
        flat = {str(name): float(row["value"]) for name, row in self.summary.iterrows()}
        if len(self.seeds) > 1:
            flat |= {f"{name}_std": float(row["std"]) for name, row in self.summary.iterrows()}
        return flat


def words(caption: str) -> list[str]:
    """Cut a caption into lower-case words, without punctuation; apostrophes separate, hyphens join."""
    return WORD.findall(caption.lower())


def mask(caption: Iterable[str], masked: Set[str], vocabulary: Set[str] | None = None) -> list[str]:
    """
    Hide the words that state the attribute, and those that the captioner does not know.

    A compound with such a part (dark-skinned) is hidden whole, so that the number of hidden words says nothing.

    Parameters
    ----------
    masked : set of str
        Words that state the attribute: all become one token.
    vocabulary : set of str, optional
        The captioner's words: others become unknown. None for the captioner's own captions.
    """
    return [
        MASK
        if not masked.isdisjoint(word.split("-"))
        else word
        if vocabulary is None or word in vocabulary
        else UNKNOWN
        for word in caption
    ]


def lic(
    generated: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    labels: Mapping[str, str],
    *,
    masked: Set[str],
    classifier: Classifier | None = None,
    seeds: Sequence[int] = PUBLISHED_SEEDS,
    test_share: float = 0.1,
    draws: int = 1000,
    device: str | torch.device = "cpu",
    cluster: Mapping[str, str] | None = None,
) -> Leakage:
    """
    Measure what generated captions leak beyond human ones.

    Every seed draws its own test tenth, a balanced sample (as many of each value as the rarest has) of both parts, and
    the classifiers' first weights. Unlike the published code, generated and human captions of one seed share the split,
    so their difference is paired by image; and no cluster lies on both sides of it, since a classifier that knows one
    picture of a figure knows the others.

    Parameters
    ----------
    references : mapping, key → captions
        Human captions; the j-th of each key trains the j-th classifier, as many as every key has.
    labels : mapping, key → value
        The attribute; keys with an empty value are left out.
    masked : set of str
        Lower-case words that state the attribute, see `ATTRIBUTE_WORDS`.
    classifier : Classifier, optional
        The published LSTM by default.
    seeds : sequence of int
        The ten published ones by default.
    device : str or device
        Where the classifiers are trained.
    cluster : mapping, key → cluster, optional
        Each image its own by default.

    Raises
    ------
    InputError
        If a labelled image lacks captions, a human caption is empty, there are fewer than two values, or a value has
        fewer than two captions in a split. A generated caption without words counts as one unknown word.
    """
    classifier = classifier or Classifier()
    keys = np.array(sorted(key for key, value in labels.items() if value and key in generated))
    humans = _check_captions(keys, references)
    values = sorted({labels[key] for key in keys})
    if len(values) < 2:
        raise InputError(
            f"leakage: found {' and '.join(values) or 'no value'} alone over {len(keys)} captions, expected more; "
            "leave the attribute out of evaluate.leakage.attributes"
        )
    target = np.array([values.index(labels[key]) for key in keys])
    number = bootstrap.numbered([cluster[key] if cluster else key for key in keys])
    own = {key: mask(words(generated[key]), masked) or [UNKNOWN] for key in keys}
    vocabulary = {word for caption in own.values() for word in caption}
    human = [{key: mask(words(references[key][index]), masked, vocabulary) for key in keys} for index in range(humans)]
    rows, items = [], []
    for seed in seeds:
        train, test = _split(target, number, test_share, np.random.default_rng(seed), values)
        scores = [
            _leak([source[key] for key in keys[train]], target[train], [source[key] for key in keys[test]],
                  target[test], classifier, seed, len(values), device)
            for source in (own, *human)
        ]  # fmt: skip
        score = 100 * np.stack([value for value, _ in scores])
        right = 100 * np.stack([value for _, value in scores])
        item = pd.DataFrame(
            {
                "seed": seed,
                "cluster": number[test],
                "key": keys[test],
                "score_m": score[0],
                "score_d": score[1:].mean(axis=0),
            }
        )
        items.append(item)
        lic_m, lic_d = item["score_m"].mean(), item["score_d"].mean()
        rows.append(
            {"seed": seed, "train": len(train), "test": len(test), "lic_m": lic_m, "lic_d": lic_d, "lic": lic_m - lic_d,
             "accuracy_m": right[0].mean(), "accuracy_d": right[1:].mean()}
        )  # fmt: skip
    by_seed, by_item = pd.DataFrame(rows), pd.concat(items, ignore_index=True)
    return Leakage(by_item, by_seed, _summarise(by_seed, by_item, draws), 100 / len(values) ** 2)


def _check_captions(keys: NDArray[np.str_], references: Mapping[str, Sequence[str]]) -> int:
    """Return how many human captions every key has."""
    for key in keys:
        if not len(references.get(key, ())):
            raise InputError(f"leakage: image {key} has no human captions, expected one or more")
        if not all(words(caption) for caption in references[key]):
            raise InputError(f"leakage: image {key} has an empty human caption; correct or drop it")
    return min((len(references[key]) for key in keys), default=0)


def _split(
    target: NDArray[np.intp],
    cluster: NDArray[np.intp],
    test_share: float,
    rng: np.random.Generator,
    values: Sequence[str],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """
    Hold out a share of the clusters, then balance both parts to their rarest value; both come in random order.

    Clusters of each combination of values are held out apart, until their share of the captions is reached.
    """
    shown = np.zeros((cluster.max() + 1, len(values)), bool)
    shown[cluster, target] = True
    size = np.bincount(cluster)
    held = np.zeros(len(size), bool)
    for kind in np.unique(shown, axis=0):
        own = rng.permutation(np.flatnonzero((shown == kind).all(axis=1)))
        before = np.cumsum(size[own]) - size[own] / 2  # a cluster is held out if its middle lies in the share
        held[own[before < test_share * size[own].sum()]] = True
    parts = [_balanced(target, np.flatnonzero(held[cluster] == part), rng, len(values)) for part in (False, True)]
    if min(map(len, parts)) < 2 * len(values):
        counts = np.bincount(target, minlength=len(values))
        raise InputError(
            f"leakage: {values[int(counts.argmin())]!r} has {counts.min()} captions of {len(size)} clusters in all, so "
            f"{len(parts[1]) // len(values)} for the test and {len(parts[0]) // len(values)} for the training of the "
            "classifier; expected at least 2 in both: caption more images"
        )
    return parts[0], parts[1]


def _balanced(
    target: NDArray[np.intp], rows: NDArray[np.intp], rng: np.random.Generator, values: int
) -> NDArray[np.intp]:
    """Draw as many rows of each value as the rarest has."""
    each = int(np.bincount(target[rows], minlength=values).min())
    return rng.permutation(np.concatenate([rng.permutation(rows[target[rows] == v])[:each] for v in range(values)]))


def _summarise(seeds: pd.DataFrame, items: pd.DataFrame, draws: int) -> pd.DataFrame:
    """Bootstrap over clusters: what is in the tests of several seeds is drawn together."""
    scores = items[["score_m", "score_d"]].to_numpy(float)
    scores = np.column_stack([scores, scores[:, 0] - scores[:, 1]])
    cluster = bootstrap.numbered(items["cluster"])
    low, high = bootstrap.interval(bootstrap.means(scores, draws, seed=0, cluster=cluster))
    figures = seeds[["lic_m", "lic_d", "lic"]].to_numpy(float)
    spread = figures.std(axis=0, ddof=1) if len(figures) > 1 else np.full(3, np.nan)
    return pd.DataFrame(
        {"value": figures.mean(axis=0), "std": spread, "lo": low, "hi": high, "n": len(items)},
        index=pd.Index(["lic_m", "lic_d", "lic"], name="figure"),
    )


def _leak(
    train: Sequence[list[str]],
    train_target: NDArray[np.intp],
    test: Sequence[list[str]],
    test_target: NDArray[np.intp],
    classifier: Classifier,
    seed: int,
    values: int,
    device: str | torch.device,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Train a classifier; return s_a(ŷ)·1[f(ŷ) = a] and 1[f(ŷ) = a] of each test caption."""
    with torch.random.fork_rng():  # dropout and first weights draw from the global generator: give it back unchanged
        torch.manual_seed(seed)
        model = _reader(train, classifier, values).to(device)
        _fit(model, train, train_target, classifier, np.random.default_rng(seed))
    model.eval()
    size = 4 * classifier.batch_size
    with torch.no_grad():
        logits = torch.cat([model(test[start : start + size]) for start in range(0, len(test), size)])
    probability = logits.float().softmax(dim=1).cpu().double().numpy()
    right = probability.argmax(axis=1) == test_target
    return probability[np.arange(len(test)), test_target] * right, right


def _reader(train: Sequence[list[str]], classifier: Classifier, values: int) -> "LSTMReader | BERTReader":
    if classifier.kind != "lstm":
        return BERTReader(classifier.folder, classifier.hidden, values, frozen=classifier.kind == "bert_frozen")
    counts = Counter(word for caption in train for word in caption if word not in SPECIAL)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[:MAX_WORDS]
    return LSTMReader([*SPECIAL, *ranked], classifier, values)


def _fit(
    model: "LSTMReader | BERTReader",
    captions: Sequence[list[str]],
    target: NDArray[np.intp],
    classifier: Classifier,
    rng: np.random.Generator,
) -> None:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = (torch.optim.Adam if classifier.kind == "lstm" else torch.optim.AdamW)(
        parameters, lr=classifier.learning_rate, fused=True
    )
    labels = torch.as_tensor(target, device=parameters[0].device)
    batches = -(-len(captions) // classifier.batch_size)  # parts of nearly equal size: no batch of one, see BatchNorm
    model.train()
    for _ in range(classifier.epochs):
        for batch in np.array_split(rng.permutation(len(captions)), batches):
            loss = nn.functional.cross_entropy(model([captions[index] for index in batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


class LSTMReader(nn.Module):
    """
    Bidirectional LSTM on words: the last layer's final states of both directions give the value.

    Parameters
    ----------
    vocabulary : sequence of str
        Words by index; `SPECIAL` first.
    """

    def __init__(self, vocabulary: Sequence[str], shape: Classifier, values: int) -> None:
        super().__init__()
        self.index = {word: position for position, word in enumerate(vocabulary)}
        self.embedding = nn.Embedding(len(vocabulary), shape.embedding, padding_idx=0)
        between = shape.dropout if shape.layers > 1 else 0.0
        self.lstm = nn.LSTM(
            shape.embedding, shape.hidden, shape.layers, bidirectional=True, dropout=between, batch_first=True
        )
        self.dropout = nn.Dropout(shape.dropout)
        self.output = nn.Linear(2 * shape.hidden, values)
        with torch.no_grad():
            self.embedding.weight[self.index[UNKNOWN]] = 0  # as published

    def forward(self, captions: Sequence[list[str]]) -> Tensor:
        """Turn captions into logits (N, K)."""
        unknown = self.index[UNKNOWN]
        tokens = [torch.tensor([self.index.get(word, unknown) for word in caption]) for caption in captions]
        lengths = torch.tensor([len(caption) for caption in captions])
        padded = nn.utils.rnn.pad_sequence(tokens, batch_first=True).to(self.embedding.weight.device)
        embedded = self.dropout(self.embedding(padded))
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.lstm(packed)
        return self.output(self.dropout(torch.cat([hidden[-2], hidden[-1]], dim=1)))


class BERTReader(nn.Module):
    """
    A pretrained BERT whose first token's state goes through a small head.

    Parameters
    ----------
    folder : str
        Folder or hub id of model and tokenizer.
    frozen : bool
        Whether only the head is trained.

    Raises
    ------
    InputError
        If the folder holds no such model.
    """

    def __init__(self, folder: str, hidden: int, values: int, frozen: bool) -> None:
        super().__init__()
        from transformers import AutoModel, AutoTokenizer

        try:
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
            self.bert = AutoModel.from_pretrained(folder)
        except UNREADABLE as error:
            raise missing(
                f"evaluate.leakage.folder: {folder}: no BERT model and tokenizer ({reason(error)})",
                "name a folder, or a hub id that this machine can reach",
            ) from None
        self.bert.requires_grad_(not frozen)
        width = self.bert.config.hidden_size
        self.head = nn.Sequential(
            nn.BatchNorm1d(width), nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.LeakyReLU(),
            nn.Linear(hidden, values),
        )  # fmt: skip

    def forward(self, captions: Sequence[list[str]]) -> Tensor:
        """Turn captions into logits (N, K)."""
        own = {MASK: self.tokenizer.mask_token, UNKNOWN: self.tokenizer.unk_token}
        text = [" ".join(own.get(word, word) for word in caption) for caption in captions]
        tokens = self.tokenizer(text, padding=True, truncation=True, return_tensors="pt")
        state = self.bert(**tokens.to(self.bert.device)).last_hidden_state[:, 0]
        return self.head(state)


@dataclass(frozen=True)
class GenderNamed:
    """
    The gender that captions name.

    Attributes
    ----------
    error : DataFrame
        Rows all, woman, man (of the image): group, n (captions that name exactly one gender), value (share of them that
        name the other one), lo, hi (95 % bootstrap over clusters), named (share of the group's captions in n).
    ratio : float
        Captions naming a woman only, over captions naming a man only; NaN where none names a man.
    """

    error: pd.DataFrame
    ratio: float

    def metrics(self) -> dict[str, float]:
        """Return the finite figures, flat: gender_error, gender_error_woman, gender_error_man, named, ratio."""
        rows = self.error.set_index("group")
        flat = {"gender_error": rows["value"]["all"], "gender_named": rows["named"]["all"], "gender_ratio": self.ratio}
        flat |= {f"gender_error_{group}": rows["value"][group] for group in ("woman", "man") if group in rows.index}
        return {name: float(value) for name, value in flat.items() if np.isfinite(value)}


def gender_named(
    captions: Mapping[str, str],
    labels: Mapping[str, str],
    *,
    feminine: Set[str] = FEMININE,
    masculine: Set[str] = MASCULINE,
    draws: int = 1000,
    cluster: Mapping[str, str] | None = None,
) -> GenderNamed:
    """
    Compare the gender that captions name with the one of the image: errors by group, and the ratio.

    Parameters
    ----------
    labels : mapping, key → {'woman', 'man', ''}
        Gender of the person; images without one count for the ratio only.
    cluster : mapping, key → cluster, optional
        Each image its own by default.

    Raises
    ------
    InputError
        If an image has no caption or an unknown gender.
    """
    keys = sorted(labels)
    if missing := [key for key in keys if key not in captions]:
        raise InputError(f"gender error: image {missing[0]} (and {len(missing) - 1} more) has no caption")
    if unknown := set(labels.values()) - {"woman", "man", ""}:
        raise InputError(f"gender error: found the gender {min(unknown)!r}, expected woman, man or nothing")
    gender = np.array([labels[key] for key in keys])
    said = [set(words(captions[key])) for key in keys]
    woman = np.array([not said_.isdisjoint(feminine) for said_ in said], bool)
    man = np.array([not said_.isdisjoint(masculine) for said_ in said], bool)
    one = woman ^ man
    wrong = one & np.where(gender == "woman", man, woman)
    groups = {"all": gender != "", "woman": gender == "woman", "man": gender == "man"}
    groups = {name: members for name, members in groups.items() if members.any()}
    members = np.column_stack([*groups.values()]) if groups else np.empty((len(keys), 0), bool)
    top, bottom = wrong[:, None] & members, one[:, None] & members
    number = bootstrap.numbered([cluster[key] if cluster else key for key in keys])
    low, high = bootstrap.interval(bootstrap.ratios(top, bottom, draws, seed=0, cluster=number))
    n = bottom.sum(axis=0)
    error = pd.DataFrame(
        {
            "group": list(groups),
            "n": n,
            "value": np.divide(top.sum(axis=0), n, out=np.full(len(n), np.nan), where=n > 0),
            "lo": low,
            "hi": high,
            "named": n / members.sum(axis=0),
        }
    )
    only_man = int((man & ~woman).sum())
    return GenderNamed(error, int((woman & ~man).sum()) / only_man if only_man else float("nan"))
