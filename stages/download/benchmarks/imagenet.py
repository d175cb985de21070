"""ImageNet validation images: zero-shot classification, and representation bias on images that are not about persons.

Files under the root, one of::

    val/<wnid>/*.JPEG                   a folder a class
    *.tar                               WebDataset: <key>.jpg and <key>.cls (class number)

Classes are named by open_clip's curated names, in the order of the 1,000 WordNet ids. Another number of folders needs
`classnames.tsv` (wnid, tab, name): a guess would name them wrongly.

References
----------
Russakovsky et al., IJCV 2015, arXiv 1409.0575; names: Radford et al., ICML 2021, arXiv 2103.00020.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from open_clip import IMAGENET_CLASSNAMES

from stages.core.errors import InputError
from stages.corpus.images import UnreadableError, kept
from stages.corpus.shards import Shard
from stages.download.benchmarks.layout import Benchmark, Row, load_image, read_text, require

SOURCE = "image-net.org (ILSVRC2012 validation images, sorted into class folders, or as WebDataset tars)"


def read(root: Path, left_out: Counter[str]) -> Iterator[Row]:
    """
    Read ImageNet.

    Yields
    ------
    Row
        The label is the class name.
    """
    tars = sorted(require(root, SOURCE).glob("*.tar"))
    yield from _from_tars(tars) if tars else _from_folders(root)


def _from_folders(root: Path) -> Iterator[Row]:
    folders = sorted(path for path in require(root / "val", SOURCE).iterdir() if path.is_dir())
    names = _names(root, [folder.name for folder in folders])
    for folder in folders:
        for path in sorted(folder.iterdir()):
            yield {"key": f"{folder.name}_{path.name.split('.')[0]}", "label": names[folder.name]}, *load_image(path)


def _names(root: Path, wnids: list[str]) -> dict[str, str]:
    table = root / "classnames.tsv"
    if table.is_file():
        rows = [line.split("\t") for line in read_text(table).splitlines() if line.strip()]
        if wrong := [row for row in rows if len(row) != 2]:
            raise InputError(
                f"{table}: found {' '.join(wrong[0])[:60]!r}, expected lines of wnid, tab, name; correct it"
            )
        names = {wnid: name.strip() for wnid, name in rows}
        if missing := sorted(set(wnids) - names.keys()):
            raise InputError(
                f"{table}: no name for {missing[0]} ({len(missing)} of {len(wnids)} classes); add a line for each"
            )
        return names
    if len(wnids) != len(IMAGENET_CLASSNAMES):
        raise InputError(
            f"{root / 'val'}: found {len(wnids)} class folders, expected {len(IMAGENET_CLASSNAMES)}; name other "
            f"classes in {table}"
        )
    return dict(zip(wnids, IMAGENET_CLASSNAMES, strict=True))


def _from_tars(tars: list[Path]) -> Iterator[Row]:
    for path in tars:
        with Shard(path) as shard:
            for key in shard.keys:
                number = shard.read(key, "cls").decode(errors="replace").strip()
                if not number.isdecimal() or int(number) >= len(IMAGENET_CLASSNAMES):
                    raise InputError(
                        f"{path}: {key}.cls: found {number!r}, expected 0…{len(IMAGENET_CLASSNAMES) - 1}; correct it"
                    )
                yield {"key": f"{path.stem}_{key}", "label": IMAGENET_CLASSNAMES[int(number)]}, *_image(shard, key)


def _image(shard: Shard, key: str) -> tuple[str, bytes]:
    suffix = shard.suffix(shard.image_member(key))
    try:
        return kept(shard.read(key, suffix))
    except UnreadableError as reason:
        raise InputError(f"{shard.path}: member {key}.{suffix}: {reason}; obtain the tar again") from None


IMAGENET = Benchmark("imagenet", SOURCE, read)
