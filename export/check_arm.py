"""Checks that a file ranks on a 64-bit ARM processor as it does here: `python -m export.check_arm FILE...`

The processor, a Cortex-A76 with 8-bit dot products, is emulated by qemu-aarch64, with tflite-runtime for ARM in the
Debian 12 that `make check-arm` unpacks into a folder. The check is about results; the emulator's time says nothing.
"""

import os
import pathlib
import shutil

from keras_cdd.errors import UserError
from keras_cdd.evaluation.tflite_embedder import installed_runtimes

from .proof.elsewhere import check_files
from .proof.runtimes import embed_with

SYSTEM = pathlib.Path(os.environ.get("CDD_ARM_SYSTEM", "build/arm"))
PROCESSOR = "cortex-a76"


def arm(path, photos):
    """Embeddings (N, D) float32 that tflite-runtime gives on ARM for photos, uint8 (N, height, width, 3)."""
    python = SYSTEM / "usr/bin/python3.11"
    if not shutil.which("qemu-aarch64"):
        raise UserError("qemu-aarch64 is missing; run, as root: apt-get install qemu-user")
    if not python.is_file():
        raise UserError(f"There is no ARM system in {SYSTEM}; run: make check-arm MODELS={path}")
    emulated = ["qemu-aarch64", "-cpu", PROCESSOR, "-L", str(SYSTEM), str(python)]
    return embed_with("tflite-runtime", path, photos, emulated)


if __name__ == "__main__":
    # For Python 3.12 there is no tflite-runtime.
    here = next(package for package in ("tflite-runtime", "ai-edge-litert") if package in installed_runtimes())
    check_files(__doc__.split("\n")[0], "ARM", arm, here)
