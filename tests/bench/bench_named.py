"""How the selected rows follow corpus and generator, among captions that name a gender and those that do not.

Balancing matches shares over all captions; whether it does among those that leave gender open is another question:
a generator draws women in men's occupations where it is told to. The share of women in each occupation, as read from
the pictures, is regressed on the corpus' share and on generator's − corpus' share (weights: rows), as `drift.partial`
does with a model's gaps: 1 and 0 follow the corpus, 1 and 1 the generator, 0 and 0 neither.

Reads the selection of the last run of the default profile: first `dvc repro`, or
`dvc exp run -S contamination.alpha=1 -S balance.target=equal balance`.
"""

from pathlib import Path

import numpy as np
import pandas as pd

DATA = Path("data/emoji")


def main() -> None:
    """Print the table."""
    print(table(DATA))


def table(folder: Path) -> str:
    """Tabulate the selection of a profile's folder."""
    rows = pd.read_parquet(folder / "selection.parquet")
    rows = rows[rows["copies"] > 0].merge(pd.read_parquet(folder / "attributes.parquet"), on=["key", "source"])
    rows = rows.merge(pd.read_parquet(folder / "samples.parquet", columns=["key", "occupation", "mentions_gender"]))
    shares = pd.read_csv(folder / "occupations.csv").dropna().set_index("occupation")
    rows = rows[rows["occupation"].isin(shares.index) & (rows["s_gender_woman"] | rows["s_gender_man"])]
    named = rows["mentions_gender"]
    lines = [f"{'captions':18s} {'rows':>6s} {'corpus':>7s} {'generator − corpus':>19s}"]
    for name, chosen in {"all": rows, "gender not named": rows[~named], "gender named": rows[named]}.items():
        corpus, drift = followed(chosen, shares)
        lines.append(f"{name:18s} {chosen['copies'].sum():6d} {corpus:+7.2f} {drift:+19.2f}")
    return "\n".join(lines)


def followed(rows: pd.DataFrame, shares: pd.DataFrame) -> tuple[float, float]:
    """
    Regress the share of women in each occupation on known shares.

    Parameters
    ----------
    rows : DataFrame
        With columns occupation, copies and s_gender_woman.
    shares : DataFrame
        By occupation: women_corpus, women_generator.

    Returns
    -------
    tuple of (float, float)
        Coefficients of the corpus' share, and of generator's − corpus' share.
    """
    counts = rows.assign(women=rows["copies"] * rows["s_gender_woman"]).groupby("occupation")[["women", "copies"]].sum()
    known = shares.loc[counts.index]
    design = np.column_stack(
        [np.ones(len(known)), known["women_corpus"], known["women_generator"] - known["women_corpus"]]
    )
    root = np.sqrt(counts["copies"].to_numpy(float))
    share = (counts["women"] / counts["copies"]).to_numpy(float)
    _, corpus, drift = np.linalg.lstsq(design * root[:, None], share * root, rcond=None)[0]
    return float(corpus), float(drift)


if __name__ == "__main__":
    main()
