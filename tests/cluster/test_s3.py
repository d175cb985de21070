"""A DVC remote in an S3-compatible store, which this test starts; its keys are in .dvc/config.local."""

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.machines import CLUSTER, SHARDS, Machines, free_ports, ran, tars, wait

pytest.importorskip("dvc_s3", reason="pip install '.[s3]'")
pytest.importorskip("moto", reason="pip install '.[engines]'")
pytest.importorskip("flask_cors", reason="pip install '.[engines]'")
KEYS = {"access_key_id": "a key", "secret_access_key": "a secret"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a store with an empty bucket."""
    address = f"http://127.0.0.1:{free_ports(1)[0]}"
    words = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", address.rpartition(":")[2]]
    with (tmp_path_factory.mktemp("store") / "log").open("w") as log:
        server = subprocess.Popen(words, stdout=log, stderr=log)

    def made() -> bool:
        assert server.poll() is None, Path(log.name).read_text()
        try:
            urllib.request.urlopen(urllib.request.Request(f"{address}/bucket", method="PUT")).close()
        except OSError:
            return False
        return True

    wait("the store", made, 120)
    yield address
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def machines(store: str, module_folder: Path) -> Iterator[Machines]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield Machines(module_folder, "s3://bucket/store", KEYS, endpointurl=store)


def test_shards_go_through_the_store_and_the_keys_reach_the_clones(machines: Machines) -> None:
    assert "secret" not in machines.first.do("git", "show", "HEAD:.dvc/config")
    for task, shard in enumerate(SHARDS):
        assert ran(machines.run(CLUSTER / "shard.sh", str(task))) == [f"generate@{shard}"]
    collector = machines.clone("collector")
    shutil.copy(machines.first.folder / ".dvc/config.local", collector.folder / ".dvc")
    assert collector.executed("repro", "--pull", "--single-item", *(f"generate@{shard}" for shard in SHARDS)) == set()
    assert min(map(len, tars(collector).values())) > 10_000
    assert ran(machines.run(CLUSTER / "shard.sh", "0", project=collector.folder)) == []


def test_without_keys_a_task_fails_and_says_so(machines: Machines) -> None:
    stranger = machines.clone("stranger")
    process = machines.start(CLUSTER / "shard.sh", "0", project=stranger.folder)
    said, _ = process.communicate()
    assert process.returncode != 0
    assert "credentials" in said.lower()
