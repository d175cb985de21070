"""The pipeline: what a generated share of a CLIP training set does to quality and bias, and what balancing undoes.

``download`` writes a corpus of image-text shards and the evaluation sets. ``generate`` makes one synthetic image a
caption, once, whatever α. ``annotate`` says which row shows whom (s) and names what (y), for real and synthetic images
alike. ``balance`` mixes both sources at α and solves Multi-Modal Moment Matching for the weights: a small table, no
image is copied. ``train`` reads the table and the shards; ``caption`` trains captioners on the same rows; ``evaluate``
measures quality and bias; ``plot`` shows them. `dvc.yaml` has the graph, `params.yaml` the science,
`stages/profiles/` the scale.

Stages meet only in files and never import each other; what two of them need stands one level up, here.
"""

import atexit
import gc
import os
import sys

# Threads that spin while they wait for each other take the cores from whatever else runs: a stage was ten times slower
# beside a busy process, and no faster on free cores. OpenMP and OpenBLAS read these when torch and numpy are loaded, so
# they are set here, before; a user's own settings stay.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # 2 to this power: cycles until a thread sleeps

# Libraries bring some 900,000 objects, which all live to the end. Looking for garbage among them, again and again while
# they are imported and once more at the end, took a third of the processor time of a stage that refuses its input.
# Only in a program of ours (`python -m`), not where `stages` is imported.
if sys.argv[:1] == ["-m"]:
    gc.set_threshold(100_000, 20, 20)

    @atexit.register
    def _leave_to_the_system() -> None:
        if "duckdb" not in sys.modules:  # which would complain of leaks on stderr
            gc.freeze()
