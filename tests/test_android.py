"""The Android demo: its own tests on the JVM, its APK, and its search compared with Python's on new photos."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree
import zipfile

import pytest

from export.android.golden_vectors import write_golden
from export.android.sample_photos import SamplePhoto
from export.gallery.embedding_model import EmbeddingModel
from export.gallery.gallery import Gallery
from keras_cdd.data import load_dataset, read_image

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ("make", "java", "mvn", "keytool", "aapt", "aapt2", "apksigner", "zipalign", "dexdump", "unzip")
MODULES = ("core", "desktop", "app")
UNSEEN, OTHERS = 50, 150
# The quickstart of the checkout that is built, with a few epochs; what these lose or gain in int8 is chance. The app's
# tests want a sample that its model recognises: among so few identities it does.
SHORTER = {
    "keras_cdd/configs/quickstart.flags": {
        "--backbone=resnet18": "--backbone=tiny",
        "--teacher_epochs=36": "--teacher_epochs=8",
        "--epochs=28": "--epochs=6",
        "--num_cuts=10": "--num_cuts=1",
        "--target_macs=0.45": "--target_macs=0.7",
    },
    "Makefile": {
        "--max_map_drop=2": "--max_map_drop=100",
        "('$(QUICK)/photos')": "('$(QUICK)/photos', test_identities=6)",
    },
}

# Long enough for the first time: downloads of half a gigabyte.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def run(*command, cwd=ROOT):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A fresh checkout whose quickstart is short; nothing has been made in it."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        pytest.skip(f"{', '.join(missing)} missing; install with: sudo make android-deps")
    if not (pathlib.Path(sys.prefix) / ".installed").is_file():
        pytest.skip("make would install all packages first; run the tests with: make test")
    folder = tmp_path_factory.mktemp("android") / "checkout"
    for name in ("keras_cdd", "export", "android_demo"):
        made_here = shutil.ignore_patterns("build", "target", "assets", "golden")
        shutil.copytree(ROOT / name, folder / name, ignore=made_here)
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    for name, replacements in SHORTER.items():
        text = (folder / name).read_text()
        for long, short in replacements.items():
            assert long in text
            text = text.replace(long, short)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def build(checkout, forking_python):
    """The whole way, once: train, export, gallery, assets, compile, API check, tests, dex, package, sign, verify."""
    environment = (f"VENV={sys.prefix}", f"RUN={forking_python}", "--assume-old=requirements.lock")
    return run("make", *environment, "android", cwd=checkout)


@pytest.fixture(scope="module")
def demo(build, checkout):
    return checkout / "android_demo"


@pytest.fixture(scope="module")
def assets(demo):
    """The folder of model and gallery."""
    return demo / "app/src/main/assets"


@pytest.fixture(scope="module")
def search(checkout):
    return lambda *flags: run("android_demo/search.sh", *flags, cwd=checkout)


def test_the_build_ends_with_a_signed_apk(build, demo, assets):
    assert build.returncode == 0, build.stdout + build.stderr
    with zipfile.ZipFile(demo / "build/keras-cdd-demo.apk") as apk:
        entries = {entry.filename: entry for entry in apk.infolist()}
        assert apk.read("assets/model.tflite") == (assets / "model.tflite").read_bytes()
    assert "classes.dex" in entries and json.loads((assets / "manifest.json").read_text())["model"]["batch"] == 1
    for abi in ("arm64-v8a", "armeabi-v7a", "x86_64"):
        assert any(name.startswith(f"lib/{abi}/") for name in entries)
    for name, entry in entries.items():
        if name.endswith((".so", ".tflite", ".sqlite", "resources.arsc")):
            assert entry.compress_type == zipfile.ZIP_STORED, name


@pytest.mark.parametrize("module", MODULES)
def test_every_test_of_the_module_ran_and_passed(build, demo, module):
    reports = list((demo / module / "target/surefire-reports").glob("TEST-*.xml"))
    suites = [xml.etree.ElementTree.parse(report).getroot() for report in reports]
    for outcome in ("failures", "errors", "skipped"):
        assert sum(int(suite.get(outcome)) for suite in suites) == 0, (outcome, build.stdout)
    assert sum(int(suite.get("tests")) for suite in suites) > 0


def test_every_screen_has_left_its_picture(demo):
    names = {picture.stem for picture in (demo / "build/screenshots").glob("*.png")}
    assert {"start", "start_dark", "start_large_font", "result", "result_landscape", "compare", "add", "added"} <= names


def test_the_search_answers_as_python_does(search, assets):
    flags = [f"--model={assets}/model.tflite", f"--gallery={assets}/gallery.sqlite"]
    flags += [f"--query={assets}/samples/1.png"]
    phone = search(*flags, "--top_k=3")
    python = run(sys.executable, "-m", "export.search", *flags, "--top_k=1000000", "--json")
    assert phone.returncode == 0, phone.stderr
    phone, python = json.loads(phone.stdout), json.loads(python.stdout)
    assert list(phone) == list(python)
    for name in ("query", "model", "gallery_size"):
        assert phone[name] == python[name]
    assert [found["rank"] for found in phone["results"]] == [1, 2, 3]
    by_path = {found["path"]: found for found in python["results"]}
    assert len(by_path) == python["gallery_size"]
    for mine, at_this_rank in zip(phone["results"], python["results"], strict=False):
        same = by_path[mine["path"]]
        assert list(mine) == list(same) and mine["identity"] == same["identity"]
        # The kernels of two libraries differ in the last digits, which may swap near ties.
        assert mine["similarity"] == pytest.approx(same["similarity"], abs=0.01)
        assert mine["similarity"] == pytest.approx(at_this_rank["similarity"], abs=0.01)


def test_the_search_names_what_is_wrong(search, assets, tmp_path):
    model, query = f"--model={assets}/model.tflite", f"--query={assets}/samples/1.png"
    (tmp_path / "gallery.sqlite").write_bytes((assets / "gallery.sqlite").read_bytes()[:5000])
    cut_off = search(model, f"--gallery={tmp_path}/gallery.sqlite", query)
    missing = search(model, f"--gallery={assets}/gallery.sqlite", "--query=no.png")
    unknown = search("--modell=m.tflite")
    for done, status, text in ((cut_off, 1, "gallery"), (missing, 1, "no.png"), (unknown, 2, "--modell")):
        assert done.returncode == status
        assert done.stdout == ""
        assert done.stderr.startswith("error: ") and text in done.stderr and "Exception" not in done.stderr


def test_unseen_photos_give_the_same_tensors_embeddings_and_first_answers(checkout, assets, shared_dir, tmp_path):
    if not (shared_dir / "data/grocery").is_dir():
        pytest.skip("the grocery photos are absent")
    records = load_dataset("grocery", str(shared_dir / "data/grocery")).gallery
    step = len(records) // (UNSEEN + OTHERS)
    chosen = records[::step][: UNSEEN + OTHERS]
    folder = tmp_path / "assets"
    shutil.copytree(assets, folder)
    (folder / "gallery.sqlite").unlink()
    _gallery_of(chosen[UNSEEN:], folder, tmp_path)
    golden = tmp_path / "golden"
    golden.mkdir()
    with Gallery(str(folder / "gallery.sqlite")) as gallery:
        photos = [SamplePhoto(read_image(record.path), str(record.identity)) for record in chosen[:UNSEEN]]
        write_golden(golden, photos, EmbeddingModel(str(folder / "model.tflite")), gallery)
    where = f"-DargLine=-Dassets={folder} -Dgolden={golden}"
    command = ["mvn", "-B", "-ntp", "-f", "android_demo/pom.xml", "-pl", "core,desktop", "test", "-Dtest=GoldenTest"]
    done = run(*command, "-Dsurefire.failIfNoSpecifiedTests=false", where, cwd=checkout)
    assert done.returncode == 0, done.stdout
    images = UNSEEN + 2  # write_golden adds two of its own
    found = re.search(r"(\d+) photos: .*same first answer (\d+)", done.stdout)
    # GoldenTest lets near ties alone change places; those are few.
    assert found and int(found[1]) == images and int(found[2]) >= 0.9 * images, done.stdout


def _gallery_of(records, folder, tmp_path):
    listed = tmp_path / "gallery.csv"
    rows = [f"{record.path},{record.identity},0,gallery" for record in records]
    listed.write_text("\n".join(["path,identity,camera,split", *rows]) + "\n")
    flags = [f"--model={folder}/model.tflite", f"--csv={listed}", f"--output={folder}/gallery.sqlite"]
    made = run(sys.executable, "-m", "export.build_gallery", *flags)
    assert made.returncode == 0, made.stderr
