"""Commands that get a damaged file end with one line, whichever file it is: no traceback, no half-written result."""

import pathlib
import random
import zipfile

import pytest

from tests.reliability.damage import damaged, damaged_archive

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNS = ROOT / "tests/data/run_0_1_0/runs.zip"
# File that is damaged -> commands that read it.
COMMANDS = {
    "finished/deploy.keras": ["keras_cdd.evaluate --model=finished/deploy.keras --dataset=csv --csv=photos.csv"],
    "finished/model_int8.tflite": [
        "keras_cdd.evaluate --model=finished/model_int8.tflite --dataset=csv --csv=photos.csv",
        "export.build_gallery --model=finished/model_int8.tflite --images=photos --output=new.sqlite",
        "export.search --model=finished/model_int8.tflite --gallery=gallery.sqlite --query=query.png",
    ],
    "gallery.sqlite": [
        "export.search --model=finished/model_int8.tflite --gallery=gallery.sqlite --query=query.png --show=new.png",
        "export.build_gallery --model=finished/model_int8.tflite --images=photos --output=gallery.sqlite",
    ],
    "query.png": ["export.search --model=finished/model_int8.tflite --gallery=gallery.sqlite --query=query.png"],
    "photos.csv": [
        "keras_cdd.evaluate --model=finished/deploy.keras --dataset=csv --csv=photos.csv",
        "keras_cdd.train --flagfile=stopped/flags.flags",
    ],
    "stopped/flags.flags": [
        "keras_cdd.train --flagfile=stopped/flags.flags --epochs=0",
        "keras_cdd.report --workdir=stopped",
    ],
    "finished/metrics.jsonl": ["keras_cdd.report --workdir=finished"],
    "stopped/checkpoints/student/model.keras": ["keras_cdd.train --flagfile=stopped/flags.flags --epochs=3"],
    "teacher.keras": ["keras_cdd.train --flagfile=stopped/flags.flags --epochs=3"],
}
TIMES = 3
# The commands run in a folder from which `export` cannot be imported.
SCRIPT = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), run_name='__main__')"
)


@pytest.mark.parametrize("victim", COMMANDS)
def test_one_line_says_what_is_wrong(run_python, tally, tmp_path, victim):
    with zipfile.ZipFile(RUNS) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "query.png").write_bytes((tmp_path / "photos/query/0004/0004_c0_00001.png").read_bytes())
    path, failed, tried = tmp_path / victim, 0, 0
    whole, rng = path.read_bytes(), random.Random(victim)
    for command in COMMANDS[victim] * TIMES:
        path.write_bytes((damaged_archive if victim.endswith(".keras") else damaged)(whole, rng))
        (tmp_path / "new.png").unlink(missing_ok=True)
        done = run_python("-c", SCRIPT, str(ROOT), *command.split(), cwd=tmp_path)
        tried += 1
        said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert done.returncode in (0, 1, 2) and "Traceback" not in done.stderr, (command, done.stderr)
        assert len(said) == (done.returncode != 0), (command, done.stderr)
        failed += done.returncode != 0
        assert not done.returncode or not list(tmp_path.glob("*new.png"))
    tally(f"commands: {victim} damaged", tried, f"{failed} refused in one line, {tried - failed} used")
