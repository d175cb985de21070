"""What charts are called: titles and units of curves and of figures by group."""

CURVES = {  # of `stages.train`'s probe: title, unit
    "retrieval_r5": ("Text→image R@5", "share of captions"),
    "representation_bias": ("Representation bias", "|share − ½|"),
    "association_max": ("Association bias, largest", "|difference of probability|"),
    "association_mean": ("Association bias, mean", "|difference of probability|"),
    "pairwise_association": ("Pairwise association", "difference of preference"),
    "loss": ("Loss", "nats"),
    "temperature": ("Temperature", "1 / logit scale"),
}
FROM_ZERO = ("retrieval_r5", "representation_bias", "association_max", "association_mean", "pairwise_association")
OPPOSITE = {"woman": "man", "man": "woman", "darker": "lighter", "lighter": "darker"}


def curve(name: str) -> tuple[str, str]:
    """
    Name a curve.

    Parameters
    ----------
    name : str
        As training logs it.

    Returns
    -------
    tuple of (str, str)
        Title and unit.
    """
    plain = name.rsplit("/", 1)[-1].replace("_", " ")
    return CURVES.get(name, (plain[:1].upper() + plain[1:], ""))


_FIGURES = {
    "retrieval.t2i": ("Text→image R@{}", "captions whose image is in the top {}, %"),
    "retrieval.t2i_shared": ("Text→image R@{}, shared captions", "captions with a right image in the top {}, %"),
    "retrieval.i2t": ("Image→text R@{}", "images with a caption in the top {}, %"),
    "recognition": ("Recognised by prompts", "share of images, chance ½"),
    "similarity": ("Self-similarity", "mean cosine of distinct images"),
    "preference": ("“A person” preferred to prompts of {}", "images, %"),
    "captions.clipcap.gender_error": ("Wrong gender in captions, ClipCap", "captions that name one gender, share"),
    "captions.transformer.gender_error": (
        "Wrong gender in captions, Transformer",
        "captions that name one gender, share",
    ),
    "harm": ("Harm class {}", "images, %"),
    "published.t2i.r": ("Text→image R@{}", "captions whose image is in the top {}, %"),
    "published.self_similarity": ("Self-similarity", "mean cosine"),
    "published.person_preference": ("Person preference", "images, %"),
}


def figure(metric: str) -> str:
    """
    Name a figure by group.

    Parameters
    ----------
    metric : str
        As in groups.csv, e.g. ``"retrieval.t2i.5"``.
    """
    return _figure(metric)[0]


def unit_of_figure(metric: str) -> str:
    """
    Say what a figure by group counts.

    Returns
    -------
    str
        For an axis; empty if unknown.
    """
    return _figure(metric)[1]


def _figure(metric: str) -> tuple[str, str]:
    for known in sorted(_FIGURES, key=len, reverse=True):
        if metric == known or (metric.startswith((f"{known}.", known)) and metric[len(known) :].lstrip(".").isalnum()):
            rest = metric[len(known) :].lstrip(".")
            title, unit = _FIGURES[known]
            return title.format(rest), unit.format(rest)
    plain = metric.replace("_", " ").replace(".", " · ")
    return plain[:1].upper() + plain[1:], ""
