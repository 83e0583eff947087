"""Mistakes on the command line give one clear line, the exit status, no traceback and no result."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from keras_cdd.evaluate import EvaluateFlags
from keras_cdd.settings.config import SECTIONS

pytestmark = pytest.mark.slow
RESULTS = {"teacher.keras", "student.keras", "deploy.keras", "summary.json", "metrics.jsonl", "surgery.jsonl"}
TINY = ("--image_size=16,16", "--stem=small", "--backbone=resnet18", "--width=4", "--identities_per_batch=2")


@pytest.fixture(scope="module")
def run(run_python):
    """`run(module, *arguments)` gives exit status, stdout and stderr of `python -m module arguments...`."""

    def answer(module, *arguments):
        done = run_python("-m", f"keras_cdd.{module}", *map(str, arguments))
        return done.returncode, done.stdout, done.stderr

    return answer


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder with two training identities of two images and one test identity; the file names contain no camera."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("train/cat", "train/dog", "query/cow", "gallery/cow"):
        (folder / name).mkdir(parents=True)
        for number in range(2):
            pixels = np.full((8, 8, 3), 40 * number, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def check(answer, words, expected=1):
    """One line that says `error:` and all the words, the status, and no traceback."""
    status, out, err = answer
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert status == expected and len(lines) == 1, err
    assert "Traceback" not in out + err
    for word in words:
        assert word in lines[0]


def test_without_a_shortcut_a_wrong_flag_ends_with_status_2():
    command = [sys.executable, "-m", "keras_cdd.train", "--nosuch=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    check((done.returncode, done.stdout, done.stderr), ["'nosuch'"], expected=2)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["train", "--epochs=many"], ["epochs", "many"]),
        (["train", "--backbone=vgg15"], ["backbone", "vgg15", "resnet50"]),
        (["train", "--flagfile=nowhere.flags"], ["nowhere.flags"]),
        (["train", "synthetic"], ["'synthetic'", "--"]),
        (["evaluate", "--nosuch=1"], ["'nosuch'"]),
    ],
)
def test_flag_syntax_ends_with_status_2(run, arguments, words):
    check(run(*arguments), words, expected=2)


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_help_shows_an_example_and_every_flag(run, command):
    status, shown, _ = run(command, "--help")
    sections = SECTIONS.values() if command == "train" else [EvaluateFlags]
    fields = [field for section in sections for field in dataclasses.fields(section)]
    assert status == 0 and f"python -m keras_cdd.{command} --" in shown
    for field in fields:
        assert f"--{field.name}" in shown or f"--[no]{field.name}" in shown
    if command == "train":
        assert "--target_macs " in shown and "--width=64 " in shown
        assert "One of resnet18, resnet34" in " ".join(shown.split())


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--target_macs=1.5"], ["--target_macs", "at most 1", "1.5"]),
        (["--target_macs=0"], ["--target_macs", "above 0"]),
        (["--dataset=nosuch"], ["nosuch", "veri776"]),
        (["--last_stride=3"], ["--last_stride", "1, 2", "3"]),
        (["--scale=2,1"], ["--scale", "smallest"]),
        (["--erasing=1.5"], ["--erasing", "1.5"]),
        (["--temperature=0"], ["--temperature", "positive"]),
        (["--label_smoothing=1"], ["--label_smoothing", "below 1"]),
        (["--momentum=2"], ["--momentum", "2"]),
        (["--seed=-1"], ["--seed", "-1"]),
        (["--reset_neighbours=9", "--queue_size=8"], ["--reset_neighbours", "--queue_size"]),
        (["--dataset=folder"], ["data_dir"]),
        (["--dataset=folder", "--data_dir=nowhere"], ["nowhere", "data_dir"]),
        (["--dataset=veri776", "--data_dir={empty}"], ["{empty}", "data_dir"]),
        (["--dataset=csv", "--csv=nowhere.csv"], ["nowhere.csv"]),
        (["--dataset=veri776", "--data_dir={empty}", "--download"], ["veri776", "cannot be downloaded"]),
        (["--dataset=omniglot", "--download"], ["folder", "data_dir"]),
    ],
)
def test_settings_and_places(run, tmp_path, arguments, words):
    empty, workdir = tmp_path / "empty", tmp_path / "run"
    empty.mkdir()
    arguments, words = ([text.format(empty=empty) for text in texts] for texts in (arguments, words))
    check(run("train", *arguments, f"--workdir={workdir}"), words)
    assert not workdir.exists()


HEADER = "path,identity,camera,split"
TRAINED = [f"{{photos}}/train/{name}/{number}.png,{name},,train" for name in ("cat", "dog") for number in range(2)]
QUERY = "{photos}/query/cow/0.png,cow,,query"
FOUND = "{photos}/gallery/cow/0.png,cow,,gallery"


@pytest.mark.parametrize(
    "lines, words",
    [
        (["path,identity,split"], ["list.csv", "camera"]),
        ([], ["list.csv", "path"]),
        ([HEADER], ["list.csv", "no images"]),
        ([HEADER, *TRAINED, QUERY, FOUND, "gone.png,cow,,gallery"], ["row 8", "gone.png"]),
        ([HEADER, *TRAINED, QUERY, FOUND, "list.csv!/a.png,cow,,gallery"], ["row 8", "list.csv!/a.png"]),
        ([HEADER, *TRAINED, QUERY], ["no gallery images"]),
        ([HEADER, *TRAINED[1:], QUERY, FOUND], ["one image", "'cat'"]),
        ([HEADER, *TRAINED, QUERY, FOUND.replace(",,", ",7,")], ["without one", "query/cow/0.png"]),
        ([HEADER, *TRAINED, QUERY, FOUND.replace(",cow", ",cat")], ["'cat'", "different"]),
    ],
)
def test_lists(run, photos, tmp_path, lines, words):
    csv_file, workdir = tmp_path / "list.csv", tmp_path / "run"
    csv_file.write_text("\n".join(lines).format(photos=photos))
    check(run("train", "--dataset=csv", f"--csv={csv_file}", f"--workdir={workdir}"), words)
    assert not workdir.exists()


@pytest.fixture(scope="module")
def other_model(tmp_path_factory):
    """A retrieval model with another image size and another number of identities than the run's."""
    path = tmp_path_factory.mktemp("models") / "other.keras"
    image = keras.Input((6, 4, 3))
    keras.Model(image, keras.layers.Flatten()(image)).save(path)
    return path


@pytest.fixture(scope="module")
def longer(other_model):
    """A model with a longer embedding."""
    path = other_model.with_name("longer.keras")
    image = keras.Input((8, 8, 3))
    keras.Model(image, keras.layers.Flatten()(image)).save(path)
    return path


@pytest.fixture(scope="module")
def truncated(other_model):
    path = other_model.with_name("truncated.keras")
    path.write_bytes(other_model.read_bytes()[:-100])
    return path


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--teacher=nowhere.keras"], ["--teacher", "nowhere.keras"]),
        (["--teacher={truncated}"], ["--teacher", "truncated.keras"]),
        (["--teacher={other}"], ["--teacher", "other.keras", "does not fit"]),
        (["--student_model=nowhere.keras", "--student=heavy"], ["--student_model", "nowhere.keras"]),
        (["--student_model={other}", "--student=heavy"], ["--student_model", "other.keras", "--image_size"]),
        (["--pretrained=imagenet"], ["resnet18", "torchvision", "--pretrained"]),
        (["--backbone=inception_v3"], ["inception_v3", "16x16", "--image_size"]),
        (["--target_macs=0.01"], ["out of reach", "0.01"]),
        (["--identities_per_batch=40"], ["identities_per_batch", "40"]),
        (["--workdir={file}/run"], ["--workdir", "another"]),
    ],
)
def test_a_run_that_cannot_start(run, photos, other_model, truncated, tmp_path, arguments, words):
    (tmp_path / "file").touch()
    places = {"truncated": truncated, "other": other_model, "file": tmp_path / "file"}
    workdir = tmp_path / "run"
    data = ("--dataset=folder", f"--data_dir={photos}", f"--workdir={workdir}")
    for _ in range(2):
        check(run("train", *data, *TINY, *(text.format(**places) for text in arguments)), words)
        data = (*data, "--seed=1")
    assert not workdir.exists() or not RESULTS & {path.name for path in workdir.iterdir()}


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], ["--model"]),
        (["--model=nowhere.keras"], ["nowhere.keras"]),
        (["--model={truncated}"], ["truncated.keras", "cannot be used"]),
        (["--model={folder}/0.png"], ["0.png", ".tflite"]),
        (["--model={other}", "--gallery_trials=10"], ["--gallery_trials", "vehicleid"]),
        (["--model={other}", "--batch_size=0"], ["--batch_size"]),
        (["--model={other}", "--dataset=folder", "--data_dir={folder}"], ["{folder}"]),
        (["--model={other}", "--json={folder}/none/out.json"], ["--json", "none"]),
        (["--model=mobilenet_v2"], ["mobilenet_v2", "--pretrained=imagenet"]),
        (["--model={other}", "--pretrained=imagenet"], ["--pretrained", "efficientnet_lite0", "other.keras"]),
        (["--model=mobilenet_v2", "--pretrained=nowhere.pth"], ["nowhere.pth"]),
        (["--model={other}", "--gallery_model=a", "--gallery_embeddings=b"], ["give one of them"]),
        (["--model={other}", "--gallery_model=nowhere.keras"], ["nowhere.keras"]),
        (["--model={other}", "--gallery_model={longer}"], ["72 numbers", "192"]),
        (["--model={other}", "--gallery_embeddings=nowhere.npz"], ["nowhere.npz"]),
        (["--model={other}", "--image_size=6"], ["--image_size", "height,width"]),
        (["--model={other}", "--image_size=8,8"], ["(6, 4)", "--image_size"]),
        (["--model={other}", "--rescaling=2"], ["--rescaling", "scale,offset"]),
        (["--model={other}", "--workdir={folder}"], ["{folder}", "holds no run"]),
        (["--model={other}", "--workdir={folder}", "--flip"], ["--workdir", "--flip"]),
    ],
)
def test_evaluation(run, photos, other_model, longer, truncated, tmp_path, arguments, words):
    places = {"truncated": truncated, "other": other_model, "longer": longer, "folder": photos / "query" / "cow"}
    arguments, words = ([text.format(**places) for text in texts] for texts in (arguments, words))
    result = tmp_path / "out.json"
    check(run("evaluate", f"--json={result}", *arguments), words)
    assert not list(tmp_path.iterdir())


def test_debug_shows_the_traceback(run):
    status, _, err = run("train", "--dataset=nosuch", "--debug")
    assert status == 1 and "Traceback" in err and "UserError" in err
