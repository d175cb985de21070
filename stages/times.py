"""How long each stage took when it last ran in this folder, for the report; kept in the work folder.

Not an output: times differ from run to run, and what DVC compares must not. A stage that DVC restored keeps the time of
its last real run; one that went on after a kill has the time of its last part.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from stages.staging import written
from stages.workdir import work_folder


def record(seconds: float) -> None:
    """
    Note that the stage that is this process' program has finished.

    Parameters
    ----------
    seconds : float
        It took.
    """
    program = getattr(sys.modules.get("__main__"), "__spec__", None)
    name = getattr(program, "name", "").removesuffix(".__main__")
    options = sys.argv[1::2]
    if not name.startswith("stages.") or not set(options) <= {"--seed", "--shard"}:
        return
    if os.environ.get("RANK", "0") != "0" or not (Path("dvc.yaml").is_file() and Path("params.yaml").is_file()):
        return  # the first of several processes is enough
    stage = "@".join([name.removeprefix("stages."), *sys.argv[2::2]])
    ended = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    text = json.dumps({"stage": stage, "seconds": round(seconds, 1), "ended": ended})
    target = _folder() / f"{stage.replace(os.sep, '_')}.json"
    with written(target) as file:
        file.write_text(text)


def read() -> dict[str, dict[str, Any]]:
    """
    Read what was noted for the profile in params.yaml.

    Returns
    -------
    dict of str to dict
        By stage as DVC names it (``train@0``): stage, seconds (wall time), ended (UTC).
    """
    notes = [json.loads(path.read_text()) for path in sorted(_folder().glob("*.json"))]
    return {note["stage"]: note for note in notes}


def _folder() -> Path:
    profile = (yaml.safe_load(Path("params.yaml").read_text()) or {}).get("profile", "")
    return work_folder("times", {"root": str(Path().resolve()), "profile": profile})
