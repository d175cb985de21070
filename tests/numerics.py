"""The numeric tests on kernels that round otherwise: what another processor would do, on this one.

    python tests/numerics.py             every setting
    python tests/numerics.py --reduced   all of them at once, for continuous integration

Each setting makes a library choose other kernels, so that the last bits of sums differ: the column *kernels* hashes a
small computation of torch and numpy. Download, annotation from captions, mix and solver give the same bytes under each:
the column *data*. Ends with 1 where a test fails or data differ.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("train", "evaluate", "balance", "caption", "annotate", "generate", "pretrain")
NO_AVX512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
SETTINGS = (
    {"OMP_NUM_THREADS": "1"},
    {"OMP_NUM_THREADS": "2"},
    {"ATEN_CPU_CAPABILITY": "default"},
    {"ATEN_CPU_CAPABILITY": "avx2"},
    {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    {"MKL_CBWR": "COMPATIBLE"},
    {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": NO_AVX512},
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


def environment(setting: dict[str, str], work: Path) -> dict[str, str]:
    """Give a process one setting, the code of this checkout, and a work folder."""
    known = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COUNTERWEIGHT_WORK": str(work)}
    return known | setting


def run(command: list[str], folder: Path, variables: dict[str, str]) -> str:
    """Run, and return what is printed; end with its error where it fails."""
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def data(folder: Path, variables: dict[str, str]) -> str:
    """Hash what download, annotate and balance write where captions alone say who is shown."""
    science = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"profile": "smoke", "shards": ["00000", "00001"]}
    science["contamination"] = {"alpha": 0.6}
    science["balance"] |= {"method": "m4", "target": "equal"}
    scale = yaml.safe_load((ROOT / "stages" / "profiles" / "smoke.yaml").read_text())
    scale["download"]["emoji"]["samples"] = 600
    scale["annotate"]["source"] = "caption"
    (folder / "stages" / "profiles").mkdir(parents=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(science))
    (folder / "stages" / "profiles" / "smoke.yaml").write_text(yaml.safe_dump(scale))
    written = folder / "data" / "smoke"
    run([sys.executable, "-m", "stages.download"], folder, variables)
    shutil.copytree(written / "real", written / "synthetic")
    for stage in ("annotate", "balance"):
        run([sys.executable, "-m", f"stages.{stage}"], folder, variables)
    files = sorted(path for path in written.rglob("*") if path.is_file())
    command = ["import hashlib, sys; [print(hashlib.md5(open(name, 'rb').read()).hexdigest(), name) for name in sys.argv[1:]]"]
    return run([sys.executable, "-c", *command, *(str(path.relative_to(folder)) for path in files)], folder, variables)
