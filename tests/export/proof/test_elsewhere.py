"""Files are compared with how they embed elsewhere: on another program, and on an emulated processor."""

import shutil
import sys

import pytest
from PIL import Image

from export import check_arm
from export.proof.elsewhere import check_files
from export.proof.runtimes import embed_with, runtime_versions

# Instead of an emulator: this Python, in place of the one that is named.
NO_EMULATOR = f"""#!/bin/sh
[ "$1 $2 $3" = "-cpu cortex-a76 -L" ] || exit 1
shift 5
exec {sys.executable} "$@"
"""


@pytest.fixture
def check(tiny_tflite, capsys, monkeypatch):
    """`check(embed, *arguments)` gives the exit status and what is printed."""
    monkeypatch.setitem(sys.modules, "keras", sys.modules.get("keras"))

    def run(embed, *arguments):
        with pytest.raises(SystemExit) as stopped:
            check_files("Checks.", "There", embed, "ai-edge-litert", arguments or [str(tiny_tflite), "--count=8"])
        printed = capsys.readouterr()
        return int(stopped.value.code), printed.out + printed.err

    return run


def here(path, photos):
    return embed_with("ai-edge-litert", path, photos)


def test_the_same_embeddings(check, tiny_tflite):
    assert check(here) == (0, f"{tiny_tflite}: There ranks 8 photos as ai-edge-litert here, the same to the bit\n")


def test_another_ranking(check):
    status, said = check(lambda path, photos: here(path, photos)[::-1])
    assert status == 1 and "There ranks 8 photos otherwise than ai-edge-litert here, cosine at least " in said


def test_own_photos(check, tiny_tflite, tmp_path):
    for shade in (0, 100, 200):
        Image.new("RGB", (20, 30), (shade, 50, 50)).save(tmp_path / f"{shade}.png")
    shown = []
    check(lambda path, photos: shown.append(photos) or here(path, photos), str(tiny_tflite), f"--images={tmp_path}")
    assert sorted(shown[0].mean(axis=(1, 2))[:, 0]) == [0, 100, 200]


def test_mistakes_are_named_in_one_line(check, tiny_tflite, tmp_path):
    (tmp_path / "damaged.tflite").write_bytes(b"TFL3" * 10)
    (tmp_path / "one").mkdir()
    Image.new("RGB", (20, 30)).save(tmp_path / "one" / "a.png")
    for arguments, said in {
        ("none.tflite",): "There is no model none.tflite; export one with python -m export.to_tflite.",
        (str(tmp_path / "damaged.tflite"),): f"Model {tmp_path}/damaged.tflite",
        (str(tiny_tflite), f"--images={tmp_path}/one"): f"There is one photo in {tmp_path}/one, and nothing to rank",
        (str(tiny_tflite), "--count=1"): "--count must be at least 2. Received: 1",
        ("--count=2",): "There is no file to check; give MODELS=, or make one with: make quickstart",
    }.items():
        status, printed = check(here, *arguments)
        assert status == 1 and printed.startswith(f"error: {said}") and printed.count("\n") == 1


def test_what_the_emulator_needs_is_named(check, tmp_path, monkeypatch):
    monkeypatch.setattr(check_arm, "SYSTEM", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert check(check_arm.arm) == (1, "error: qemu-aarch64 is missing; run, as root: apt-get install qemu-user\n")
    monkeypatch.setattr(shutil, "which", lambda name: name)
    status, said = check(check_arm.arm)
    assert status == 1 and said.startswith(f"error: There is no ARM system in {tmp_path}; run: make check-arm MODELS=")


@pytest.mark.skipif("tflite-runtime" not in runtime_versions(), reason="tflite-runtime has no wheel for this system")
def test_on_arm_the_runtime_is_started_by_the_emulator(check, tmp_path, monkeypatch):
    for name, content in {"qemu-aarch64": NO_EMULATOR, "usr/bin/python3.11": ""}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(check_arm, "SYSTEM", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    status, said = check(check_arm.arm)
    assert status == 0 and "as ai-edge-litert here, the same to the bit" in said
