"""Women in men's and in women's occupations, among selected captions that name a gender and those that do not.

Balancing matches shares over all captions; whether it does among those that leave gender open is another question:
a generator draws women in men's occupations where it is told to. Reads the selection of the last run of the default
profile: first `dvc repro`, or `dvc exp run -S contamination.alpha=1 -S balance.target=equal balance`. Groups are as
read from the pictures, rows without one left out; men's occupations have at most 5 % women in the generator's corpus,
women's at least 50 %.
"""

from pathlib import Path

import pandas as pd

DATA = Path("data/emoji")
SIDES = {"men's": (0.0, 0.05), "women's": (0.5, 1.0)}


def main() -> None:
    """Print the table."""
    rows = pd.read_parquet(DATA / "selection.parquet")
    rows = rows[rows["copies"] > 0].merge(pd.read_parquet(DATA / "attributes.parquet"), on=["key", "source"])
    samples = pd.read_parquet(DATA / "samples.parquet", columns=["key", "kind", "occupation", "mentions_gender"])
    shares = pd.read_csv(DATA / "occupations.csv").set_index("occupation")["women_generator"]
    rows = rows.merge(samples, on="key").assign(women=lambda table: table["occupation"].map(shares))
    rows = rows[rows["s_gender_woman"] | rows["s_gender_man"]]
    print(f"{'':9s} {'captions':22s} {'rows':>5s} {'women':>6s} {'distinct women':>15s}")
    for side, (low, high) in SIDES.items():
        at = rows[rows["women"].between(low, high)]
        for kind, shown in {"person": "at work", "portrait": "portraits"}.items():
            for named, said in {True: "gender named", False: "not named"}.items():
                some = at[(at["kind"] == kind) & (at["mentions_gender"] == named)]
                women = some[some["s_gender_woman"]]
                count = some["copies"].sum()
                share = women["copies"].sum() / count if count else float("nan")
                print(f"{side:9s} {f'{shown}, {said}':22s} {count:5d} {share:6.2f} {len(women):15d}")


if __name__ == "__main__":
    main()
