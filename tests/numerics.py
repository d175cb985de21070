"""The numeric tests on kernels that round otherwise: what another processor would do, on this one.

    python tests/numerics.py             all tests of the stages, under each setting
    python tests/numerics.py --short     those of `NUMERIC`, under each setting
    python tests/numerics.py --reduced   those of `NUMERIC`, under all settings at once

A setting makes a library take other kernels, so that the last bits of sums differ: the column *kernels* hashes a small
computation of torch and numpy. What `download` writes, and the mix that `balance` makes of equal attributes, are the
same under each: the column *data*. Ends with 1 where a test fails or the data differ.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
TESTS = [f"tests/{name}" for name in ("train", "evaluate", "balance", "caption", "annotate", "generate", "pretrain")]
NUMERIC = [  # what rests on sums of floats, and starts no stage
    f"tests/{stage}/test_{name}.py"
    for stage, names in {
        "annotate": "classifier errors",
        "balance": "baselines caps feasibility misread moments selection solver",
        "caption": "captioner features training",
        "evaluate": "association bootstrap caption_quality embed erase leakage permutation retrieval skew transfer "
        "weat zero_shot",
        "generate": "sampler",
        "pretrain": "optimise",
        "train": "augment economy loop models overfit penalty probe",
    }.items()
    for name in names.split()
]
FEATURES = np.show_config("dicts")["SIMD Extensions"]["found"]  # that numpy would use on this machine
SETTINGS = (
    {"OMP_NUM_THREADS": "1"},
    {"OMP_NUM_THREADS": "2"},
    {"ATEN_CPU_CAPABILITY": "default"},
    {"ATEN_CPU_CAPABILITY": "avx2"},
    {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    {"MKL_CBWR": "COMPATIBLE"},
    {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": " ".join(FEATURES)},
)
KERNELS = """
import hashlib, numpy, torch
draw = torch.Generator().manual_seed(0)
image, weight = torch.randn(4, 8, 32, 32, generator=draw), torch.randn(16, 8, 3, 3, generator=draw)
found = torch.nn.functional.conv2d(image, weight).flatten(1)
values = [found.numpy(), (found @ found.T).softmax(1).numpy(), found.exp().sum(1).numpy()]
values += [values[0].astype(float) @ values[0].T.astype(float), numpy.exp(values[0].astype(float)).sum(1)]
print(hashlib.blake2b(b"".join(value.tobytes() for value in values), digest_size=4).hexdigest())
"""


def main() -> None:
    """Print a row of the table per setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="only tests that rest on sums of floats")
    parser.add_argument(
        "--reduced", action="store_true", help="these, under all settings at once instead of one by one"
    )
    everything = {name: value for setting in SETTINGS for name, value in setting.items()} | {
        "ATEN_CPU_CAPABILITY": "default"
    }
    arguments = parser.parse_args()
    settings = (SETTINGS[0], everything) if (reduced := arguments.reduced) else SETTINGS
    tests = NUMERIC if reduced or arguments.short else TESTS
    print("| setting | kernels | data | tests | seconds |\n|---|---|---|---|---|", flush=True)
    found, failed = set(), False
    with tempfile.TemporaryDirectory() as folder:
        for number, setting in enumerate(settings):
            variables = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | setting
            kernels = run([sys.executable, "-c", KERNELS], Path(folder), variables).strip()
            found.add(data := hash_of_data(Path(folder) / str(number), variables))
            said, seconds = "", time.monotonic()
            if not (reduced and number == 0):  # `make test` has run them
                command = [sys.executable, "-m", "pytest", "--numprocesses", "2", "--dist", "loadfile", *tests]
                done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
                counts = re.findall(r"\d+ (?:passed|failed|skipped|errors?)\b", done.stdout)
                said, seconds = ", ".join(counts), time.monotonic() - seconds
                if done.returncode:
                    failed = True
                    print(done.stdout, done.stderr[-4000:], file=sys.stderr)
            name = " ".join(f"{key}={value.replace(' ', ',')}" for key, value in setting.items())
            print(f"| `{name}` | {kernels} | {data} | {said} | {f'{seconds:.0f}' if said else ''} |", flush=True)
    raise SystemExit(failed or len(found) > 1)


def run(command: list[str], folder: Path, variables: dict[str, str]) -> str:
    """Run, and return what is printed; end with its error where it fails."""
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def hash_of_data(folder: Path, variables: dict[str, str]) -> str:
    """Hash what `download` writes, and the mix where captions alone say who is shown."""
    science = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"profile": "smoke", "shards": ["00000", "00001"]}
    science["contamination"] = {"alpha": 0.6}
    science["balance"] |= {"method": "m4", "target": "equal"}
    scale = yaml.safe_load((ROOT / "stages" / "profiles" / "smoke.yaml").read_text())
    scale["download"]["emoji"]["samples"] = 600
    scale["annotate"]["source"] = "caption"
    scale["balance"] = {"eps_r": 0.002, "eps_d": 0.0002}  # as in the profiles that more than 64 rows are balanced in
    (folder / "stages" / "profiles").mkdir(parents=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(science))
    (folder / "stages" / "profiles" / "smoke.yaml").write_text(yaml.safe_dump(scale))
    work = {"COUNTERWEIGHT_WORK": str(Path(variables.get("COUNTERWEIGHT_WORK") or ROOT / ".work").resolve())}
    written = folder / "data" / "smoke"
    run([sys.executable, "-m", "stages.download"], folder, variables | work)
    shutil.copytree(written / "real", written / "synthetic")
    for stage in ("annotate", "balance"):
        run([sys.executable, "-m", f"stages.{stage}"], folder, variables | work)
    digest = hashlib.blake2b(digest_size=4)
    for path in sorted(written.rglob("*")):
        if path.is_file() and path.parent.name != "balance":  # its certificate says how far rounding let the solver go
            digest.update(path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
