"""Fixtures that every test shares: the golden numbers and the optional shared data."""

import json
import os
import pathlib

import numpy as np
import pytest

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN_DIR = pathlib.Path(os.environ.get("CDD_GOLDEN_DIR", HERE / "golden"))
SHARED_DIR = pathlib.Path(os.environ.get("CDD_SHARED_DIR", HERE.parent.parent / "shared"))


def _first_existing(name):
    for folder in (GOLDEN_DIR, SHARED_DIR / "golden"):
        if (folder / name).is_file():
            return folder / name
    pytest.skip(f"golden file {name} is absent from {GOLDEN_DIR.name}/ and from the shared golden folder")


@pytest.fixture
def golden():
    """`golden("losses.npz")` gives the file's arrays as a dict (or the parsed JSON); skips when it is absent."""

    def load(name):
        path = _first_existing(name)
        if path.suffix == ".json":
            return json.loads(path.read_text())
        with np.load(path) as archive:
            return {key: archive[key] for key in archive.files}

    return load


@pytest.fixture
def shared_dir():
    """The folder with the real data sets; skips when it is not there."""
    if not SHARED_DIR.is_dir():
        pytest.skip("the shared data folder is absent")
    return SHARED_DIR
