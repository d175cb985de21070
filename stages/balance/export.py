"""What other programs read of a balanced table: weights, DataComp's list of uids, open_clip's csv, filtered tars.

`weights.parquet` (key, weight, kept) is for samplers that weigh; the others hold the whole rows that realise weights.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stages.balance.table import BalanceReport, row_keys
from stages.core.atomic import check_file, check_owned, owned, written
from stages.core.errors import InputError
from stages.corpus.shards import list_members

UID = re.compile(r"[0-9a-fA-F]{32}")


def uids(keys: Sequence[str], where: str) -> np.ndarray:
    """
    Write uids as DataComp's resharder reads them: upper and lower half of each, sorted.

    Parameters
    ----------
    keys : sequence of str
        32 hexadecimal digits each.

    Raises
    ------
    InputError
        If one is no uid.
    """
    if wrong := next((key for key in keys if not UID.fullmatch(key)), None):
        raise InputError(f"{where}: found {wrong!r}, expected DataComp's uid of 32 hexadecimal digits; name its column")
    halves = [(int(key[:16], 16), int(key[16:], 16)) for key in keys]
    return np.sort(np.array(halves, np.dtype("u8,u8")))


def open_clip_csv(images: Iterable[str], captions: Iterable[str]) -> pd.DataFrame:
    """Name images and captions as open_clip_train's --train-data expects them: filepath, title, tab between."""
    return pd.DataFrame({"filepath": list(images), "title": [" ".join(str(text).split()) for text in captions]})


def _stated(column: pd.Series) -> pd.Series:
    """Return a column of the kept rows; refuse the first that states no text."""
    for place, value in zip(column.index.tolist(), column.tolist(), strict=True):
        if not isinstance(value, str | int | float) or value != value or not str(value).strip():  # NaN is not itself
            said = f"column {column.name}: row {place + 1}: found {value!r}, expected a text"
            raise InputError(f"{said}; fill it in, or leave the row out")
    return column


def filter_tar(source: Path, keys: set[str], out: Path) -> set[str]:
    """
    Copy the samples of a tar whose key is among `keys`, member by member as they come; return the keys found.

    Parameters
    ----------
    keys : set of str
        The member's path up to the first dot of its name, WebDataset's rule.

    Raises
    ------
    InputError
        If the tar cannot be read whole, or holds a link.
    """
    found = set()
    if not source.is_file():
        raise InputError(f"{source}: is a folder, expected a tar; name another folder of tars")
    with source.open("rb") as file, tarfile.open(out, "w|") as writer:
        for member in list_members(source):
            folder, slash, name = member.name.removeprefix("./").rpartition("/")
            if (key := f"{folder}{slash}{name.partition('.')[0]}") in keys:
                found.add(key)
                file.seek(member.offset)
                copied = tarfile.TarInfo(member.name)
                copied.size = member.size
                writer.addfile(copied, file)
    return found


KINDS = ("uids", "csv", "tars")
BESIDE = (".groups.csv", ".associations.csv", ".unknown.csv", ".filter.csv", ".json", ".png")  # the report


@dataclass(frozen=True)
class Exports:
    """
    What is asked for beside the weights.

    Attributes
    ----------
    places : mapping
        File or folder of each of `KINDS` that is wanted.
    key, image, caption : str
        Columns of the table.
    tars : Path or None
        Folder of the tars to copy from.
    """

    places: Mapping[str, Path]
    key: str | None
    image: str
    caption: str
    tars: Path | None

    def check(self, out: Path, read: Iterable[Path]) -> None:
        """
        Refuse what would fail after the work, or replace what is read.

        Parameters
        ----------
        read : iterable of Path
            Files that are read.

        Raises
        ------
        InputError
            If a kind is none of `KINDS`, a place is no place for it, or what a kind needs is not named.
        """
        if out.suffix != ".parquet":
            raise InputError(f"--out {out}: found {out.suffix or 'no suffix'}, expected .parquet")
        if other := [kind for kind in self.places if kind not in KINDS]:
            raise InputError(f"--export: found {other[0]!r}, expected one of {', '.join(KINDS)}, as in uids=kept.npy")
        files = [self.places[kind] for kind in ("uids", "csv") if kind in self.places]
        for path in (out, *files):
            check_file(path)
            if not path.parent.is_dir():
                raise InputError(f"{path}: no folder {path.parent}; make it, or name another file")
        written = [path.resolve() for path in (out, *(out.with_suffix(end) for end in BESIDE), *files)]
        taken = {path.resolve() for path in read}
        if lost := [path for place, path in enumerate(written) if path in taken or path in written[:place]]:
            raise InputError(f"{lost[0]}: is read, or written for something else too; name another file")
        if self.key is None and {"uids", "tars"} & self.places.keys():
            raise InputError("--export: uids and tars need --key: the column of the uids, or of the tars' keys")
        if "tars" in self.places:
            check_owned(self.places["tars"])
            if self.tars is None or not any(self.tars.glob("*.tar")):
                raise InputError(f"--tars {self.tars or ''}: no .tar file; name the folder of the tars to copy from")

    @property
    def columns(self) -> list[str]:
        """Columns of the table that are needed."""
        named = [self.image, self.caption] if "csv" in self.places else []
        return [*named, *([self.key] if self.key else [])]


def write(
    out: Path,
    table: pd.DataFrame,
    weights: pd.DataFrame,
    report: BalanceReport,
    exports: Exports,
    lost: pd.DataFrame | None = None,
) -> list[str]:
    """
    Write the weights, the report beside them, and the exports; return a line for each export.

    The report is `.json`, `.groups.csv`, `.associations.csv`, `.unknown.csv`, `.filter.csv`, `.origin.csv` and `.png`.
    """
    drawn = io.BytesIO()
    report.figure().savefig(drawn, format="png")  # first, as whatever fails has then written nothing
    keys = pd.Series(row_keys(table, exports.key or None))
    kept, said = weights["kept"].to_numpy(bool), []
    array = uids(keys[kept].tolist(), f"column {exports.key}") if "uids" in exports.places else None
    rows = None
    if "csv" in exports.places:
        rows = open_clip_csv(*(_stated(table.loc[kept, name]) for name in (exports.image, exports.caption)))
    if "tars" in exports.places and exports.tars is not None:
        wanted, found = set(keys[kept]), dict[str, Path]()
        with owned(exports.places["tars"]) as folder:
            for tar in sorted(exports.tars.glob("*.tar")):
                for key in sorted(filter_tar(tar, wanted, folder / tar.name)):
                    if (other := found.setdefault(key, tar)) != tar:
                        raise InputError(f"{tar}: key {key!r} is in {other}, too, expected it once; name one of them")
            if not found:
                raise InputError(f"{exports.tars}: no key of column {exports.key} is in them; name another --key")
        absent = len(wanted) - len(found)
        said.append(f"{exports.places['tars']}: {len(found)} samples" + (f"; {absent} are in no tar" if absent else ""))
    if array is not None:
        with written(exports.places["uids"]) as path, path.open("wb") as file:
            np.save(file, array)
        said.append(f"{exports.places['uids']}: {len(array)} uids")
    if rows is not None:
        with written(exports.places["csv"]) as path:
            rows.to_csv(path, sep="\t", index=False)
        said.append(f"{exports.places['csv']}: {len(rows)} rows")
    with written(out) as path:
        weights.assign(key=keys.to_numpy())[["key", "weight", "kept"]].to_parquet(path, index=False)
    parts = {"groups": report.groups, "associations": report.associations, "unknown": report.unknown}
    parts |= {"filter": lost} if lost is not None else {}
    parts |= {"origin": report.origin} if report.origin is not None else {}
    for name, part in parts.items():
        with written(out.with_suffix(f".{name}.csv")) as path:
            part.to_csv(path, index=False, float_format="%.9g")
    with written(out.with_suffix(".json")) as path:
        path.write_text(json.dumps(report.facts, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
    with written(out.with_suffix(".png")) as path:
        path.write_bytes(drawn.getvalue())
    return said
