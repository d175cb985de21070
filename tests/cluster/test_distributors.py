"""`source: cc3m` over clusters of Ray and of Spark, which these tests start; the bytes are those of one machine."""

import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from stages.corpus.images import encode_png
from tests.helpers.machines import free_ports, missing_commands, wait
from tests.helpers.own_corpus import Project
from tests.helpers.shapes import COLOURS, SHAPES, draw

SHARDS, ROWS = 3, 24


class Web(http.server.ThreadingHTTPServer):
    """Serves drawings by number; remembers the processes above those that asked."""

    daemon_threads = True

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.pictures = [encode_png(draw(COLOURS[row % 6], SHAPES[row // 6], rng, 40)) for row in range(ROWS)]
        self.asking: set[str] = set()
        super().__init__(("127.0.0.1", 0), Page)


class Page(http.server.BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        for connection in psutil.net_connections("tcp4"):
            if connection.laddr == self.client_address and connection.pid:
                self.server.asking |= {" ".join(above.cmdline()) for above in psutil.Process(connection.pid).parents()}
        data = self.server.pictures[int(self.path.strip("/"))]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    server = Web()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetched(folder: Path, web: Web, distributor: str, **variables: str) -> dict[str, bytes]:
    """Download; return the bytes of each shard."""
    project = Project(folder)
    rows = [f"a picture {row}\thttp://127.0.0.1:{web.server_port}/{row}" for row in range(ROWS)]
    (folder / "list.tsv").write_text("\n".join(rows) + "\n")
    settings: dict[str, Any] = {"list": "list.tsv", "processes": 2, "threads": 4, "distributor": distributor}
    project.configure(SHARDS, source="cc3m", cc3m=settings)
    web.asking.clear()
    done = project.run(**variables)
    assert done.returncode == 0, done.stderr[-4000:]
    return {path.name: path.read_bytes() for path in sorted(project.data.glob("real/*.tar"))}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, web: Web) -> dict[str, bytes]:
    found = fetched(tmp_path_factory.mktemp("alone"), web, "multiprocessing")
    assert len(found) == SHARDS
    return found


def test_ray_fetches_on_its_cluster(tmp_path: Path, web: Web, alone: dict[str, bytes]) -> None:
    pytest.importorskip("ray", reason="pip install '.[engines]'")
    port, own = free_ports(1)[0], tempfile.mkdtemp(prefix="ray")  # its sockets bear no long paths
    address = f"127.0.0.1:{port}"
    small = ["--num-cpus=1", "--object-store-memory=100000000", "--disable-usage-stats"]
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    head = [f"--port={port}", "--node-ip-address=127.0.0.1", f"--temp-dir={own}", "--include-dashboard=false"]
    try:
        subprocess.run([*ray, "start", "--head", *head, *small], check=True, capture_output=True)
        subprocess.run([*ray, "start", f"--address={address}", *small], check=True, capture_output=True)
        assert fetched(tmp_path, web, "ray", RAY_ADDRESS=address) == alone
        assert any("raylet" in command and own in command for command in web.asking), web.asking
    finally:
        for process in psutil.process_iter(["cmdline"]):
            if own in " ".join(process.info["cmdline"] or []):
                process.kill()
        shutil.rmtree(own, ignore_errors=True)


def test_spark_fetches_on_its_cluster(tmp_path: Path, web: Web, alone: dict[str, bytes]) -> None:
    pyspark = pytest.importorskip("pyspark", reason="pip install '.[engines]'")
    if lacking := missing_commands("java"):
        pytest.skip(f"Spark needs {lacking} (apt-get install openjdk-17-jre-headless)")
    port, page = free_ports(2)
    master, spark = f"spark://127.0.0.1:{port}", Path(pyspark.__file__).parent
    deploy = "org.apache.spark.deploy"
    worker = [f"{deploy}.worker.Worker", "--cores", "1", "--memory", "512m", master, "--work-dir"]
    started: list[list[str]] = [[f"{deploy}.master.Master", "--port", str(port), "--webui-port", str(page)]]
    started += [[*worker, str(tmp_path / name)] for name in ("first", "second")]
    environment = os.environ | {"SPARK_HOME": str(spark), "SPARK_DAEMON_MEMORY": "256m"}
    with ExitStack() as stack:
        for number, words in enumerate(started):
            log = stack.enter_context((tmp_path / f"{number}.log").open("w"))
            daemon = subprocess.Popen(
                [spark / "bin/spark-class", words[0], "--host", "127.0.0.1", *words[1:]],
                stdout=log, stderr=log, env=environment,
            )  # fmt: skip
            stack.callback(daemon.wait)
            stack.callback(daemon.terminate)
        said = tmp_path / "0.log"
        wait("Spark's workers", lambda: said.read_text().count("Registering worker") == 2)
        arguments = f"--master {master} --conf spark.executor.memory=512m pyspark-shell"
        shards = fetched(tmp_path, web, "pyspark", PYSPARK_SUBMIT_ARGS=arguments, SPARK_LOCAL_IP="127.0.0.1")
    assert shards == alone
    assert any("CoarseGrainedExecutorBackend" in command for command in web.asking), web.asking
    assert [*tmp_path.glob("first/app-*"), *tmp_path.glob("second/app-*")]


def test_spark_without_a_cluster_takes_the_processes_of_the_profile(
    tmp_path: Path, web: Web, alone: dict[str, bytes]
) -> None:
    pytest.importorskip("pyspark", reason="pip install '.[engines]'")
    if lacking := missing_commands("java"):
        pytest.skip(f"Spark needs {lacking} (apt-get install openjdk-17-jre-headless)")
    assert fetched(tmp_path, web, "pyspark", SPARK_LOCAL_IP="127.0.0.1") == alone
