"""A small study by hand: what m4, random rows and contamination do is stated."""

import numpy as np
import pandas as pd

from stages.plot.study import Study
from stages.results.details import Estimate
from stages.results.sweep import Own

R5, SEEN, UNSEEN = "people.t2i.r5", "portraits.seen.pairwise_association", "portraits.unseen.pairwise_association"
RB, PLACE = "rb.gender", "portraits.seen.position"
KEYS = (R5, UNSEEN, SEEN, RB)
METRICS = {
    R5: Estimate(4.1, 3.3, 5.0), f"{R5}.ceiling": Estimate(83.2), "n.people": Estimate(1220),
    UNSEEN: Estimate(0.1), SEEN: Estimate(0.05, -0.02, 0.12), RB: Estimate(0.2, 0.1, 0.3),
}  # fmt: skip
OWN = Own(0.5, "m4", METRICS)
MEANS = {R5: 8.0, UNSEEN: 0.4, SEEN: 0.6, RB: 0.2}
NULL = dict.fromkeys(KEYS, (0.0, 1.0))
STRONG = {R5: (2.0, 0.5), UNSEEN: (-0.3, 0.1), SEEN: (-0.5, 0.1), RB: (-0.1, 0.02)}  # better, all of it
OPPOSITE = {key: (-size, half) for key, (size, half) in STRONG.items()}


def study(effects=NULL, contamination=NULL, fewer=NULL, replicates=3, **more: float) -> Study:
    """
    Three lines at three α with two replicates; tables of what is said of m4 against random and not balanced rows.

    Parameters
    ----------
    effects, contamination, fewer : mapping of str to (float, float)
        Difference and half of its interval: m4 − random rows, the highest − the lowest α, random rows − not balanced.
    more : float
        A further metric (``_of_`` for a dot) with its value everywhere, 0.1 more per α.
    """
    means = MEANS | {key.replace("_of_", "."): value for key, value in more.items()}
    runs = pd.DataFrame(
        [
            (f"{method}{alpha}", alpha, method, seed, metric, value + place * 0.1 + 0.1 * alpha + 0.01 * seed)
            for metric, value in means.items()
            for place, method in enumerate(("not balanced", "random", "m4"))
            for alpha in (0.0, 0.5, 1.0)
            for seed in (0, 1)
        ],
        columns=["run", "alpha", "method", "seed", "metric", "value"],
    )
    pairs = {("m4", "random"): effects, ("random", "not balanced"): fewer}
    pairs["m4", "not balanced"] = {key: (fewer[key][0] + of[0], fewer[key][1] + of[1]) for key, of in effects.items()}
    rows = [
        (key, method, reference, alpha, replicates, size, size - half, size + half, np.nan)
        for (method, reference), of in pairs.items()
        for key, (size, half) in of.items()
        for alpha in ("0", "0.5", "1", "mean")
    ]
    names = ["metric", "method", "reference", "alpha", "replicates", "difference", "lo", "hi", "p_holm"]
    ends = [
        (
            key,
            "not balanced",
            0.0,
            1.0,
            replicates,
            MEANS[key],
            MEANS[key] + size,
            size,
            size - half,
            size + half,
            np.nan,
        )
        for key, (size, half) in contamination.items()
    ]
    trends = ["metric", "method", "alpha_from", "alpha_to", "replicates", "value_from", "value_to", *names[5:]]
    return Study(runs, pd.DataFrame(rows, columns=names), pd.DataFrame(ends, columns=trends))
