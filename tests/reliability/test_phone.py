"""The phone's code on the JVM refuses what Python refuses, of the same damaged galleries, manifests and pairs."""

import fcntl
import io
import json
import pathlib
import random
import shutil
import subprocess
import zipfile

import pytest

from export.android.manifest import parse_manifest, read_manifest
from export.gallery.gallery import Gallery
from keras_cdd.errors import UserError
from tests.reliability.damage import damaged, damaged_archive, odd_json
from tests.reliability.file_readers import manifest_folder

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNS = ROOT / "tests/data/run_0_1_0/runs.zip"
# What Python refuses and the phone reads: its JSON reader knows more than JSON, its SQLite shows a replacement for
# bytes that are no text, and it reads a zip from its beginning and not by the list at its end. SHA-256 hold still.
LENIENT = ("it is no JSON", "Could not decode to UTF-8", "no whole zip")
COUNTS = {"gallery": 2000, "manifest": 2000, "pair": 500}

pytestmark = pytest.mark.skipif(
    not (shutil.which("java") and shutil.which("mvn")),
    reason="Java is missing; sudo make android-deps",
)


@pytest.fixture(scope="module")
def verdicts():
    """`verdicts(kind, paths)` asks the JVM: "used", "refused ..." or "crashed ..." of each file."""
    # Compiles what has changed, in one process at a time; without flags it searches nothing.
    with open(pathlib.Path(__file__).parent / "Verdicts.java") as one:
        fcntl.flock(one, fcntl.LOCK_EX)
        built = subprocess.run([ROOT / "android_demo/search.sh"], capture_output=True, text=True, check=False)
    assert built.returncode == 2, built.stderr
    classes = [ROOT / "android_demo/desktop/target/classes", f"{ROOT}/android_demo/desktop/target/lib/*"]
    command = ["java", "-Xmx1g", "-XX:+UseSerialGC", "-cp", ":".join(map(str, classes))]

    def ask(kind, paths):
        lines = "".join(f"{kind} {path}\n" for path in paths)
        program = str(pathlib.Path(__file__).parent / "Verdicts.java")
        done = subprocess.run(
            [*command, program], input=lines, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.splitlines()

    return ask


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with zipfile.ZipFile(RUNS) as archive:
        archive.extractall(folder)
    return manifest_folder(folder)


def use_gallery(path):
    with Gallery(path) as gallery:
        gallery.check().labels()
        gallery.images(gallery.vectors().ids)


def use_pair(path):
    folder = path.with_suffix(".there")
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    except zipfile.BadZipFile as error:
        raise UserError(f"no whole zip: {error}") from None
    use_gallery(folder / read_manifest(folder)["gallery"]["file"])


def inputs(kind, pair):
    """Contents of files: the whole one, then damaged ones."""
    manifest = (pair / "manifest.json").read_bytes()
    gallery = (pair / "gallery.sqlite").read_bytes()
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for path in sorted(pair.iterdir()):
            archive.write(path, path.name)
    whole = {"gallery": gallery, "manifest": manifest, "pair": zipped.getvalue()}[kind]
    yield whole
    for seed in range(COUNTS[kind]):
        rng = random.Random(seed)
        if kind == "manifest" and seed % 2:
            yield odd_json(json.loads(manifest), rng).encode()
        else:
            yield (damaged_archive if kind == "pair" else damaged)(whole, rng)


@pytest.mark.parametrize("kind", COUNTS)
def test_both_give_the_same_answer(pair, verdicts, tally, tmp_path, kind):
    use = {"gallery": use_gallery, "pair": use_pair, "manifest": lambda path: parse_manifest(path.read_bytes())}[kind]
    paths, ours = [], []
    for number, content in enumerate(inputs(kind, pair)):
        path = tmp_path / f"{number}.{kind}"
        path.write_bytes(content)
        paths.append(path)
    theirs = verdicts(kind, paths)
    for path in paths:
        try:
            use(path)
            ours.append("used")
        except (ValueError, OSError) as error:
            ours.append(f"refused {error}")
    assert ours[0] == theirs[0] == "used" and not [answer for answer in theirs if answer.startswith("crashed")]
    different = [answers for answers in zip(paths, ours, theirs, strict=True) if answers[1][:4] != answers[2][:4]]
    excused = [our for _, our, their in different if their == "used" and any(reason in our for reason in LENIENT)]
    assert len(different) == len(excused) < 0.05 * len(paths), "\n".join(map(str, different))
    used = ours.count("used")
    outcome = f"{used:,} used and {len(paths) - used - len(excused):,} refused by both, {len(excused)} by Python alone"
    tally(f"phone and Python: {kind}", len(paths), outcome)
