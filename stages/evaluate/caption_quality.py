"""How good captions are: BLEU-4, ROUGE-L, CIDEr and METEOR against references, CLIPScore, and how varied they are.

The first four are the reference implementations of the COCO caption challenge (`pycocoevalcap`). Its tokeniser needs
Java, so captions are cut here, as it does for plain English: lower case, punctuation dropped, hyphenated words kept.
METEOR 1.5 exists in Java alone (Python versions are of the 2007 metric, and need WordNet data that no package brings):
it is measured only where it is asked for. SPICE also downloads a parser, and is left out.

References
----------
Papineni et al., ACL 2002 (BLEU); Lin, 2004 (ROUGE); Vedantam et al., CVPR 2015 (CIDEr, here CIDEr-D as in COCO);
Denkowski, Lavie, 2014 (METEOR 1.5); Hessel et al., EMNLP 2021 (CLIPScore, equation 1); Li et al., NAACL 2016
(distinct-n). [P: the packages' sources]
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge

from stages.core.errors import InputError
from stages.evaluate.features import unit
from stages.evaluate.leakage import words

CLIPSCORE_WEIGHT = 2.5  # w of equation 1


def score(
    candidates: Mapping[str, str], references: Mapping[str, Sequence[str]], *, meteor: bool = False
) -> dict[str, float]:
    """
    Score a captioner.

    Parameters
    ----------
    references : mapping, key → captions
        Of the same images, one or more each.
    meteor : bool
        Whether to measure METEOR, which needs Java.

    Returns
    -------
    dict of str to float
        bleu_4, rouge_l in [0, 1], cider in [0, 10] (COCO prints all × 100), meteor in [0, 1] where asked for;
        distinct_1, distinct_2 (different words and word pairs over all of them), unique (share of different captions),
        length (mean words a caption). A caption without words scores 0.

    Raises
    ------
    InputError
        If images differ, a reference is empty, an image has no reference, or METEOR is asked for without Java.
    """
    truth, guess = _tokenised(candidates, references)
    quality = {
        "bleu_4": float(Bleu(4).compute_score(truth, guess, verbose=0)[0][3]),
        "rouge_l": float(Rouge().compute_score(truth, guess)[0]),
        "cider": float(Cider().compute_score(truth, guess)[0]),
    }
    if meteor:
        quality["meteor"] = _meteor(truth, guess)
    return quality | variety([caption for (caption,) in guess.values()])


def variety(captions: Iterable[str]) -> dict[str, float]:
    """
    Measure how varied captions are.

    Returns
    -------
    dict of str to float
        distinct_1, distinct_2, unique, length; low where a captioner says the same of all.

    Raises
    ------
    InputError
        If there is no caption.
    """
    cut = [tuple(words(caption)) for caption in captions]
    singles = [word for caption in cut for word in caption]
    pairs = [pair for caption in cut for pair in pairwise(caption)]
    if not cut:
        raise InputError("caption quality: found no captions, expected one per image; caption again (`dvc repro`)")
    return {
        "distinct_1": len(set(singles)) / len(singles) if singles else 0.0,
        "distinct_2": len(set(pairs)) / len(pairs) if pairs else 0.0,
        "unique": len(set(cut)) / len(cut),
        "length": len(singles) / len(cut),
    }


def clip_score(images: ArrayLike, captions: ArrayLike) -> NDArray[np.float64]:
    """
    Measure how well captions fit images, without references: 2.5 · max(cos, 0).

    Parameters
    ----------
    images, captions : array_like, (N, D)
        Features of one CLIP model, row by row; published captions are embedded as "A photo depicts {}".

    Returns
    -------
    ndarray, (N,)
        In [0, 2.5]. A model trained on biased data scores its own captions: compare only under one model.

    Raises
    ------
    ValueError
        If features are not finite, or differ in shape.
    """
    image, caption = unit(images, "image features"), unit(captions, "caption features")
    if image.shape != caption.shape:
        raise ValueError(f"image features {image.shape} and caption features {caption.shape} differ in shape")
    return CLIPSCORE_WEIGHT * np.maximum((image * caption).sum(axis=1), 0)


def _tokenised(
    candidates: Mapping[str, str], references: Mapping[str, Sequence[str]]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Cut captions into words joined by blanks, in the order of the keys, as the scorers take them."""
    if not candidates:
        raise InputError("caption quality: found no captions, expected one per image; caption again (`dvc repro`)")
    if apart := sorted(candidates.keys() ^ references.keys()):
        where = "references" if apart[0] in candidates else "a generated caption"
        raise InputError(
            f"caption quality: image {apart[0]} (and {len(apart) - 1} more) lacks {where}; join by key first"
        )
    truth, guess = {}, {}
    for key in sorted(candidates):
        truth[key] = [" ".join(words(caption)) for caption in references[key]]
        guess[key] = [" ".join(words(candidates[key]))]
        if not truth[key]:
            raise InputError(f"caption quality: image {key} has no reference caption, expected one or more")
        if not all(truth[key]):
            raise InputError(
                f"caption quality: image {key} has an empty reference caption, expected words; "
                "correct the evaluation set"
            )
    return truth, guess


def _meteor(truth: dict[str, list[str]], guess: dict[str, list[str]]) -> float:
    if shutil.which("java") is None:
        raise InputError("evaluate.meteor: found no java on this machine; install Java 8 or newer, or set it to false")
    scorer = Meteor()
    try:
        said = {key: [text or "-"] for key, (text,) in guess.items()}  # its protocol has no empty line
        return float(scorer.compute_score(truth, said)[0])
    finally:
        for pipe in (scorer.meteor_p.stdout, scorer.meteor_p.stderr):
            if pipe is not None:
                pipe.close()
