"""`source: cc3m`: a tsv of caption and url, fetched by img2dataset into the work folder.

Two settings of img2dataset matter for the comparison of real and generated images. It stores files as they come
(`disable_all_reencoding`): its default adds white borders to real images alone [P], its other
modes resize by another filter than generation does, and its decoder takes cut-off JPEGs for whole ones. And the list
reaches it as one parquet file a shard with the number of each row, which becomes the key: the tsv would be parsed with
quotes, keys would depend on the cut into shards, and its memory on the length of the list.

References
----------
Sharma et al.: Conceptual Captions, ACL 2018. Beaumont: img2dataset, github.com/rom1504/img2dataset.
"""

import importlib
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from stages.core.errors import InputError, missing
from stages.corpus.shards import Shard
from stages.download.corpora.packing import Entry, bounds, check_cut
from stages.download.settings import CC3M

LAYOUT = pa.schema([("url", pa.string()), ("caption", pa.string()), ("row", pa.int64())])
PREFIXES = ("http://", "https://")

# img2dataset keeps the message of urllib, which names hosts and sizes; what is counted must be few.
REASONS = (
    (r"HTTP Error (\d+)", r"HTTP \1"),
    (r"timed out", "timed out"),
    (r"IncompleteRead|RemoteDisconnected|Connection reset|closed connection", "connection broken off"),
    (r"X-Robots-Tag", "use disallowed by the server"),
    (r"urlopen error|Name or service|refused|SSL|certificate|No route", "no connection"),
)


@dataclass(frozen=True)
class UrlSource:
    """The fetched files."""

    path: Path
    folder: Path
    names: tuple[str, ...]
    rows: int

    @property
    def columns(self) -> list[tuple[str, pa.DataType]]:
        """Url, and sha256 of the file as it came."""
        return [("url", pa.string()), ("sha256", pa.string())]

    def entries(self, shard: int) -> Iterator[Entry]:
        """
        Read the rows of a shard.

        Yields
        ------
        Entry
            In the order of the list; img2dataset's is that in which the servers answered.
        """
        name = self.names[shard]
        table = pq.read_table(self.folder / f"{name}.parquet").to_pylist()
        fetched = {row["row"]: row for row in table}
        with Shard(self.folder / f"{name}.tar") as tar:
            for number in range(*bounds(self.rows, len(self.names), shard)):
                row = fetched.get(number)
                key, where = f"{number:09d}", f"{self.path}: row {number + 1}"
                if row is None or row["status"] != "success" or row["key"] not in tar:
                    yield Entry(key, where, lost=reason(row["error_message"] if row else ""))
                    continue
                member = tar.image_member(row["key"]).name.rpartition(".")[2]
                captions = (row["caption"],) if (row["caption"] or "").strip() else ()
                known = {"url": row["url"], "sha256": row["sha256"]}
                yield Entry(key, where, captions, tar.read(row["key"], member), known)


def reason(message: str | None) -> str:
    """Name the reason why a url gave nothing."""
    for pattern, name in REASONS:
        if found := re.search(pattern, message or "", re.IGNORECASE):
            return found.expand(name)
    return "other"


def count(path: Path) -> int:
    """
    Count and check the rows of a list.

    Raises
    ------
    InputError
        If a row has not two columns, or its second is no url; names the row.
    """
    rows = 0
    for batch in _batches(path):
        for offset, url in enumerate(batch.column("url").to_pylist()):
            if not url.lower().startswith(PREFIXES):
                raise InputError(
                    f"{path}: row {rows + offset + 1}: found {url[:80]!r} as url, expected http(s)://…; the list has "
                    "two columns, caption and url, and no header"
                )
        rows += batch.num_rows
    return rows


def cut(path: Path, rows: int, names: tuple[str, ...], folder: Path) -> None:
    """
    Write a list as one parquet file a shard, with the number of each row.

    Parameters
    ----------
    rows : int
        As counted; at least as many as shards.

    Raises
    ------
    InputError
        If there are more shards than rows.
    """
    check_cut(path, rows, names)
    folder.mkdir(parents=True, exist_ok=True)
    pending = pa.table({name: [] for name in LAYOUT.names}, LAYOUT)
    first, shard = 0, 0
    for batch in _batches(path):
        numbers = pa.array(range(first, first + batch.num_rows), pa.int64())
        first += batch.num_rows
        part = pa.table({"url": batch.column("url"), "caption": batch.column("caption"), "row": numbers}, LAYOUT)
        pending = pa.concat_tables([pending, part])
        while shard < len(names):
            start, stop = bounds(rows, len(names), shard)
            if pending.num_rows < stop - start:
                break
            pq.write_table(pending.slice(0, stop - start), folder / f"{names[shard]}.parquet")
            pending, shard = pending.slice(stop - start).combine_chunks(), shard + 1


def fetch(urls: Path, rows: int, names: tuple[str, ...], settings: CC3M, folder: Path) -> None:
    """
    Fetch all shards that are not there yet.

    Parameters
    ----------
    folder : Path
        img2dataset's output: for each shard a tar, a parquet file with the fate of each url, and statistics.

    Raises
    ------
    InputError
        If the distributor cannot be imported or started, or shards are left unfinished.
    KeyboardInterrupt
        If interrupted.
    """
    if not _unfinished(rows, names, folder):
        return
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        with _engine(settings):
            os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # img2dataset imports it; it would look for updates
            from img2dataset import download  # heavy; only this source needs it

            download(
                url_list=str(urls),
                output_folder=str(folder),
                input_format="parquet",
                url_col="url",
                caption_col="caption",
                save_additional_columns=["row"],
                output_format="webdataset",
                number_sample_per_shard=max(stop - start for start, stop in _spans(rows, names)),
                oom_shard_count=len(names[0]),
                disable_all_reencoding=True,
                extract_exif=False,
                compute_hash="sha256",
                processes_count=settings.processes,
                thread_count=settings.threads,
                timeout=settings.timeout,
                retries=settings.retries,
                max_shard_retry=settings.shard_retries,
                incremental_mode="incremental",
                distributor=settings.distributor,
            )
    except SystemExit:  # its answer to an interrupt, with exit code 0
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, interrupt)
    if unfinished := _unfinished(rows, names, folder):
        raise InputError(
            f"{folder}: img2dataset left {len(unfinished)} of {len(names)} shards unfinished, e.g. {unfinished[0]} "
            "(it says above why); run the same command again, it fetches only those"
        )


@contextmanager
def _engine(settings: CC3M) -> Iterator[None]:
    """
    Have the engine ready that spreads the shards: Ray finds its cluster by itself (RAY_ADDRESS), Spark by a session.

    img2dataset takes the session that it finds, and makes one of this machine alone where it finds none.
    """
    name = settings.distributor
    try:
        engine = importlib.import_module({"pyspark": "pyspark.sql"}.get(name, name))
    except ImportError as error:
        raise missing(
            f"download.cc3m.distributor: {name} cannot be imported: {error}",
            "`pip install '.[engines]'`, or use multiprocessing",
        ) from None
    if name != "pyspark":
        yield
        return
    os.environ.setdefault("MASTER", f"local[{settings.processes}]")  # the last place where Spark looks for a master
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # on the workers, too
    try:
        session = engine.SparkSession.builder.appName("download").getOrCreate()
    except RuntimeError as error:
        raise missing(
            f"download.cc3m.distributor: Spark does not start: {str(error)[:300]}", "it needs Java 17"
        ) from None
    with session:
        yield


def _spans(rows: int, names: tuple[str, ...]) -> list[tuple[int, int]]:
    return [bounds(rows, len(names), shard) for shard in range(len(names))]


def _unfinished(rows: int, names: tuple[str, ...], folder: Path) -> list[str]:
    """List the shards without statistics of all their rows; wrong ones, cut off by a kill, would pass for finished."""
    unfinished = []
    for name, (start, stop) in zip(names, _spans(rows, names), strict=True):
        stats = folder / f"{name}_stats.json"
        try:
            done = json.loads(stats.read_text())["count"] == stop - start
        except (OSError, ValueError, KeyError, TypeError):
            done = False
        if not done:
            stats.unlink(missing_ok=True)
            unfinished.append(name)
    return unfinished


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Stream the list; quotes are part of the captions."""
    try:
        with csv.open_csv(
            path,
            csv.ReadOptions(column_names=["caption", "url"], block_size=1 << 22),
            csv.ParseOptions(delimiter="\t", quote_char=False),
            csv.ConvertOptions(column_types={"caption": pa.string(), "url": pa.string()}, strings_can_be_null=False),
        ) as reader:
            yield from reader
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise InputError(f"{path}: not all of it is UTF-8 ({str(error)[:80]}); save the list as UTF-8") from None
        raise InputError(f"{path}: {str(error)[:200]}; expected two columns, caption and url, and no header") from None
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected a file of this user") from None
