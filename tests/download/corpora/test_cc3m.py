"""`source: cc3m`: img2dataset against a web server that loses, breaks and delays images, as the web does."""

import http.server
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest

from stages.core.errors import InputError
from stages.core.seeds import uniform
from stages.corpus.images import square
from stages.corpus.shards import Shard, decode_image
from stages.download.corpora import urls
from tests.helpers.own_corpus import COUNT, ROOT, Drawing, Project

SHARDS = 3
NAMES = tuple(f"{shard:05d}" for shard in range(SHARDS))
GONE, TRUNCATED, BROKEN, SLOW, PAGE, FLAKY = (set(range(place, COUNT, 37)) for place in (3, 7, 11, 17, 23, 29))
LOST = GONE | TRUNCATED | BROKEN | SLOW | PAGE
TIMEOUT = 3  # seconds


class Web(http.server.ThreadingHTTPServer):
    """Serves drawings by number, some of them not."""

    daemon_threads = True

    def __init__(self, drawings: list[Drawing]) -> None:
        self.drawings = drawings
        self.asked: Counter[int] = Counter()
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Page)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that gave up are no error of the server."""


class Page(http.server.BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        number = int(self.path.strip("/"))
        with self.server.lock:
            self.server.asked[number] += 1
            first = self.server.asked[number] == 1
        data = self.server.drawings[number].data
        if number in SLOW:
            time.sleep(TIMEOUT * 3)
        if number in GONE or (number in FLAKY and first):
            self.send_error(404 if number in GONE else 503)
            return
        if number in PAGE:
            data = b"<html><body>This image is no longer available.</body></html>"
        if number in TRUNCATED:
            data = data[: len(data) * 2 // 3]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if number in BROKEN else data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def web(drawings: list[Drawing]) -> Iterator[Web]:
    server = Web(drawings)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def prepare(project: Project, web: Web) -> None:
    rows = [f"{drawing.caption}\thttp://127.0.0.1:{web.server_port}/{n}" for n, drawing in enumerate(web.drawings)]
    (project.folder / "list.tsv").write_text("\n".join(rows) + "\n")
    project.configure(
        SHARDS,
        source="cc3m",
        cc3m={"list": "$LISTS/list.tsv", "processes": 1, "threads": 16, "timeout": TIMEOUT, "retries": 1},
    )


def kill_after_one_shard(project: Project) -> None:
    words, environment = project.command(LISTS=str(project.folder))
    process = subprocess.Popen(
        words,
        cwd=project.folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not list((project.folder / "work").rglob("00000_stats.json")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def done(make_project: Callable[[], Project], web: Web) -> Project:
    """Killed when the first of three shards was there, then run again."""
    project = make_project()
    prepare(project, web)
    kill_after_one_shard(project)
    assert not project.data.exists() or not list(project.data.rglob("*.tar"))
    with web.lock:
        web.asked.clear()
    ran = project.run(LISTS=str(project.folder))
    assert ran.returncode == 0, ran.stderr[-3000:]
    return project


@pytest.fixture(scope="module")
def samples(done: Project) -> pd.DataFrame:
    return pd.read_parquet(done.data / "samples.parquet")


def test_what_the_web_lost_is_counted_by_reason(done: Project) -> None:
    found = json.loads((done.data / "download.json").read_text())
    assert found["rows"] == COUNT
    assert found["lost"] == len(LOST)
    assert found["lost_by_reason"] == {
        "HTTP 404": len(GONE),
        "cut off or damaged": len(TRUNCATED),
        "connection broken off": len(BROKEN),
        "timed out": len(SLOW),
        "not an image": len(PAGE),
    }


def test_all_others_are_there_under_the_number_of_their_row(samples: pd.DataFrame, drawings: list[Drawing]) -> None:
    rows = [row for row in range(COUNT) if row not in LOST]
    assert samples["key"].tolist() == [f"{row:09d}" for row in rows]
    assert samples["caption"].tolist() == [drawings[row].caption for row in rows]
    assert samples["sha256"].tolist() == [sha256(drawings[row].data).hexdigest() for row in rows]
    assert samples["u"].tolist() == [uniform(0, key) for key in samples["key"]]
    assert samples["shard"].tolist() == [NAMES[row * SHARDS // COUNT] for row in rows]


def test_images_went_the_way_of_generated_ones(done: Project, samples: pd.DataFrame, drawings: list[Drawing]) -> None:
    for name in NAMES:
        with Shard(done.data / "real" / f"{name}.tar") as tar:
            assert tar.keys == samples.loc[samples["shard"] == name, "key"].tolist()
            for key in tar.keys[::9]:
                expected = square(decode_image(drawings[int(key)].data, key), 32)
                assert (tar.read_image(key) == expected).all()
                assert tar.read(key, "txt").decode() == drawings[int(key)].caption


def test_a_finished_shard_is_not_fetched_again(done: Project, web: Web) -> None:
    assert done.data.exists()
    assert not {number for number in web.asked if number < COUNT // SHARDS}
    assert {number for number in web.asked if number >= COUNT // SHARDS} == set(range(COUNT // SHARDS, COUNT))


def test_a_url_that_failed_once_is_tried_again(samples: pd.DataFrame) -> None:
    assert {f"{row:09d}" for row in FLAKY - LOST} <= set(samples["key"])


def test_another_resolution_needs_no_download(done: Project, web: Web) -> None:
    with web.lock:
        web.asked.clear()
    before = pd.read_parquet(done.data / "samples.parquet")
    done.configure(SHARDS, source="cc3m", resolution=16, cc3m={"list": "list.tsv", "processes": 1, "threads": 4})
    ran = done.run()
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert not web.asked
    assert pd.read_parquet(done.data / "samples.parquet").equals(before)
    with Shard(done.data / "real" / "00000.tar") as tar:
        assert tar.read_image(tar.keys[0]).shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("caption\turl\na cat\thttp://a/1\n", r"row 1: found 'url' as url"),
        ("a cat\thttp://a/1\na dog\n", r"Expected 2 columns, got 1"),
        ("a cat\thttp://a/1\na dog\tftp://a/2\n", r"row 2: found 'ftp://a/2'"),
    ],
)
def test_a_list_that_is_none_is_named(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "list.tsv"
    path.write_text(content)
    with pytest.raises(InputError, match=says):
        urls.count(path)


@pytest.mark.parametrize(("rows", "shards"), [(10, 4), (9, 4), (7, 7), (1000, 3)])
def test_a_list_is_cut_into_whole_shards(tmp_path: Path, rows: int, shards: int) -> None:
    path, names = tmp_path / "list.tsv", tuple(f"{shard:05d}" for shard in range(shards))
    path.write_text("".join(f'"a quote {row}\thttp://a/{row}\n' for row in range(rows)))
    assert urls.count(path) == rows
    urls.cut(path, rows, names, tmp_path / "urls")
    parts = [pd.read_parquet(tmp_path / "urls" / f"{name}.parquet") for name in names]
    assert pd.concat(parts)["row"].tolist() == list(range(rows))
    assert pd.concat(parts)["caption"].tolist() == [f'"a quote {row}' for row in range(rows)]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_fewer_rows_than_shards_are_refused(tmp_path: Path) -> None:
    (tmp_path / "list.tsv").write_text("a\thttp://a\n")
    with pytest.raises(InputError, match="1 rows for 2 shards"):
        urls.cut(tmp_path / "list.tsv", 1, ("00000", "00001"), tmp_path / "urls")


@pytest.mark.parametrize("reason", ["No module named 'ray'", "libarrow.so: cannot open shared object file"])
def test_a_distributor_that_cannot_be_imported_is_named(project: Project, web: Web, reason: str) -> None:
    prepare(project, web)
    (project.folder / "broken").mkdir()
    (project.folder / "broken/ray.py").write_text(f"raise ImportError({reason!r})\n")
    settings = {"list": "list.tsv", "processes": 1, "threads": 4, "distributor": "ray"}
    project.configure(SHARDS, source="cc3m", cc3m=settings)
    line = project.refused(PYTHONPATH=f"{project.folder / 'broken'}{os.pathsep}{ROOT}")
    assert f"download.cc3m.distributor: ray cannot be imported: {reason}" in line
    assert "pip install '.[engines]'" in line


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("HTTP Error 410: Gone", "HTTP 410"),
        ("<urlopen error timed out>", "timed out"),
        ("<urlopen error [Errno -2] Name or service not known>", "no connection"),
        ("IncompleteRead(3 bytes read, 4 more expected)", "connection broken off"),
        ("Use of image disallowed by X-Robots-Tag directive", "use disallowed by the server"),
        (None, "other"),
    ],
)
def test_reasons_are_few(message: str | None, name: str) -> None:
    assert urls.reason(message) == name
