"""Rows of the tables that describe the corpus and the evaluation sets; an unknown value is the empty string."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.download.emoji.census import OCCUPATIONS, Census
from stages.download.emoji.corpus import Draw
from stages.download.emoji.duplicates import drawn_as
from stages.download.emoji.evaluation import Item
from stages.download.emoji.people import Emoji

Twins = Mapping[str, Sequence[Emoji]]


def sample_attributes(draw: Draw, alike: Twins) -> dict[str, Any]:
    """
    Say what is known of a training sample.

    Returns
    -------
    dict
        Columns of `samples.parquet` after key, shard, caption and u. `occupation` is the one that the caption names;
        `context` (shown), `mentions_context` and `caption_of` only where the corpus has contexts, or caption noise.
    """
    return {
        "kind": "person" if draw.kind == "occupation" else draw.kind,
        **_identity(draw.style, draw.emoji, alike),
        "occupation": draw.occupation,
        "mentions_gender": draw.caption.mentions_gender,
        "mentions_skin_tone": draw.caption.mentions_skin_tone,
        **({} if draw.context is None else {"context": draw.context, "mentions_context": bool(draw.caption.context)}),
        **({} if draw.caption_of is None else {"caption_of": draw.caption_of}),
    }


def evaluation_row(item: Item, alike: Twins) -> dict[str, Any]:
    """
    Make the row of an evaluation image.

    Returns
    -------
    dict
        Columns of `eval/<set>.parquet`. A cluster is a figure: a drawing with all its skin tones and scenes, by every
        artist, and what is drawn alike.
    """
    return {
        "key": item.key,
        "captions": list(item.captions),
        **_identity(item.style, item.emoji, alike),
        "ethnicity": "",
        "part": item.part,
        "coarse": item.emoji.subgroup,
        "cluster": min(emoji.figure for emoji in (item.emoji, *alike.get(item.emoji.hexcode, ()))),
    }


def occupation_rows(corpus: Census, generator: Census) -> list[dict[str, Any]]:
    """Tabulate the women's shares of corpus and generator; None where no census row stands behind a share."""
    return [
        {
            "occupation": name,
            "women_corpus": corpus.shares[name] if name in corpus.counted else None,
            "women_generator": generator.shares[name] if name in generator.counted else None,
        }
        for name in OCCUPATIONS
    ]


def _identity(style: str, emoji: Emoji, alike: Twins) -> dict[str, Any]:
    return {
        "style": style,
        "emoji": emoji.hexcode,
        "label": emoji.concept_label,
        "occupation": emoji.occupation,
        "gender": emoji.gender,
        "skin_tone": emoji.skin_tone,
        "age": emoji.age,
        "drawn_as": drawn_as(emoji, alike),
        "duplicate": emoji.hexcode in alike,
    }
