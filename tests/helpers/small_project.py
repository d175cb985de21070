"""A repository with the project's parameters and a pipeline of two stages, for what drives pipelines."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
RESULTS = Path("data/smoke/results")
SCORE = """
import json, os, pathlib, sys, time, yaml
work, seed = pathlib.Path(os.environ["COUNTERWEIGHT_WORK"]), int(sys.argv[1])
p = yaml.safe_load(open("params.yaml"))
point = f"{p['balance']['method']} {p['contamination']['alpha']:g} {seed}"
with (work / "started").open("a") as log:
    log.write(point + "\\n")
while os.environ.get("SLOW") == point and not (work / "go").exists():
    time.sleep(0.1)
value = 0.2 + 0.1 * p["contamination"]["alpha"] - (0.15 if p["balance"]["method"] == "m4" else 0) + 0.01 * seed
folder = pathlib.Path(f"data/smoke/scores/{seed}"); folder.mkdir(parents=True, exist_ok=True)
(folder / "metrics.json").write_text(json.dumps({"rb.gender": value}))
(folder / "losses.json").write_text(json.dumps([2.0, 1.0]))
"""
PLOT = """
import json, pathlib, yaml
folder = pathlib.Path("data/smoke/results/tables"); folder.mkdir(parents=True, exist_ok=True)
seeds = yaml.safe_load(open("params.yaml"))["seeds"]
values = [json.loads(pathlib.Path(f"data/smoke/scores/{s}/metrics.json").read_text())["rb.gender"] for s in seeds]
rows = [f"rb.gender,{s},{v}" for s, v in zip(seeds, values)]
(folder / "seeds.csv").write_text("\\n".join(["metric,seed,value", *rows]) + "\\n")
losses = [json.loads(pathlib.Path(f"data/smoke/scores/{s}/losses.json").read_text()) for s in seeds]
rows = [f"{s},{i},loss,{v}" for s, of in zip(seeds, losses) for i, v in enumerate(of)]
(folder / "curves.csv").write_text("\\n".join(["seed,step,metric,value", *rows]) + "\\n")
value = {"rb.gender": sum(values) / len(values)}
(folder.parent / "metrics.json").write_text(json.dumps(value))
details = {"rb.gender": {"value": value["rb.gender"], "n": len(values)}}
(folder.parent / "details.json").write_text(json.dumps(details))
"""


class Project:
    """The repository, committed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.work = folder / "project", folder / "work"
        self.work.mkdir(parents=True)
        self.environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "COUNTERWEIGHT_WORK": str(self.work), "DVC_NO_ANALYTICS": "1",
        }  # fmt: skip
        (self.folder / "stages").mkdir(parents=True)
        self.do("cp", "-r", ROOT / "stages" / "profiles", self.folder / "stages")
        params = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"profile": "smoke", "seeds": [0, 1]}
        params |= {"contamination": {"alpha": 0.0, "seed": 0}, "balance": params["balance"] | {"target": "none"}}
        self.write("params.yaml", yaml.safe_dump(params))
        self.write("stages/score.py", SCORE)
        self.write("plot.py", PLOT)
        self.write(".gitignore", "/data/*/*\n!/data/*/results\n")
        scores = "data/smoke/scores"
        evaluate = {
            "matrix": {"seed": "${seeds}"}, "cmd": f"{sys.executable} stages/score.py ${{item.seed}}",
            "deps": ["stages/score.py"], "params": ["contamination", "balance"], "outs": [f"{scores}/${{item.seed}}"],
        }  # fmt: skip
        kept = [{f"{RESULTS}/{name}": {"cache": False}} for name in ("tables", "details.json")]
        plot = {"cmd": f"{sys.executable} plot.py", "deps": [scores], "params": ["seeds"], "outs": kept}
        plot["metrics"] = [{f"{RESULTS}/metrics.json": {"cache": False}}]
        self.write("dvc.yaml", yaml.safe_dump({"stages": {"evaluate": evaluate, "plot": plot}}))
        self.do("git", "init", "-q")
        for key, value in (("user.name", "tester"), ("user.email", "tester@localhost")):
            self.do("git", "config", key, value)
        self.do(sys.executable, "-m", "dvc", "init", "-q")
        self.commit("start")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def set_study(self, values: dict) -> None:
        path = self.folder / "stages" / "profiles" / "smoke.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"study": values}))

    def do(self, *command: object) -> str:
        done = subprocess.run(
            [*map(str, command)], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, message: str) -> None:
        self.do("git", "add", "--all")
        self.do("git", "commit", "--quiet", "--allow-empty", "--message", message)
