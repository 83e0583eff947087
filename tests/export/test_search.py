"""The search command: right answers, no Keras, and one line for every mistake."""

import itertools
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from export.build_gallery import command_parser as build_parser
from export.build_gallery import main as build
from export.gallery.embedding_model import EmbeddingModel
from export.gallery.gallery import Gallery
from export.search import command_parser, main
from keras_cdd.report.ranking_strip import GREEN, GREY, RED
from tests.export.conftest import assert_best, similarities_in

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAVY = ("tensorflow", "keras", "tf_keras", "absl", "scipy", "tqdm")


@pytest.fixture(scope="module")
def coloured(photos):
    """The photos, every three in the light of one colour: a corner of the colour cube, so that identities lie apart."""
    corners = np.array(list(itertools.product((0, 255), repeat=3)), np.uint8)
    return photos // 4 + corners.repeat(3, axis=0)[:, None, None] // 4 * 3


@pytest.fixture(scope="module")
def place(tiny_tflite, coloured, tmp_path_factory):
    """A folder with `photos/id<n>/<n>.png`, their gallery and its model."""
    place = tmp_path_factory.mktemp("search")
    for number, photo in enumerate(coloured):
        path = place / "photos" / f"id{number // 3}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(path)
    build(
        build_parser().parse_args([f"--model={tiny_tflite}", f"--output={place}/g.sqlite", f"--images={place}/photos"])
    )
    (place / "m.tflite").write_bytes(tiny_tflite.read_bytes())
    return place


def search(place, *more, query="photos/id2/07.png"):
    flags = [f"--model={place}/m.tflite", f"--gallery={place}/g.sqlite", f"--query={place}/{query}", *more]
    main(command_parser().parse_args(flags))


def run(place, *flags, before="pass"):
    """Runs the command in a separate process, after some Python code."""
    code = f"import sys; sys.argv[0] = 'search'; {before}\nfrom export.search import run\nrun()\n"
    code += f"print([name for name in {HEAVY[:4]} if sys.modules.get(name)], file=sys.stderr)"
    command = [sys.executable, "-c", code, f"--gallery={place}/g.sqlite", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_answers_in_json(place, coloured, capsys):
    search(place, "--top_k=4", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == ["query", "model", "gallery_size", "milliseconds", "results"]
    assert (answer["query"], answer["gallery_size"]) == (f"{place}/photos/id2/07.png", 24)
    assert 0 < answer["milliseconds"] < 60_000
    assert [list(result) for result in answer["results"]] == 4 * [["rank", "path", "identity", "similarity"]]
    assert [result["rank"] for result in answer["results"]] == [1, 2, 3, 4]
    assert [result["identity"] for result in answer["results"][:3]] == ["id2"] * 3
    # The query is not rounded; the gallery is.
    embedding = EmbeddingModel(place / "m.tflite").embed(coloured[7:8])[0]
    with Gallery(place / "g.sqlite") as gallery:
        expected = similarities_in(gallery, embedding)
    assert_best(*([result[key] for result in answer["results"]] for key in ("path", "similarity")), expected)


def test_answers_in_words(place, capsys):
    search(place, "--top_k=99")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 24
    rank, similarity, identity, path = lines[0].split()
    assert (
        (rank, identity) == ("1", "id2") and 0.99 < float(similarity) <= 1 and path.startswith(f"{place}/photos/id2/")
    )


def colours(path):
    with Image.open(path) as picture:
        return {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}


def test_picture_of_the_ranking(place, tmp_path):
    search(place, "--top_k=8", f"--show={tmp_path}/r.png")
    assert {GREEN, RED} <= colours(tmp_path / "r.png")
    Image.new("RGB", (20, 20), "blue").save(place / "photo.png")
    search(place, f"--show={tmp_path}/r.png", query="photo.png")
    found = colours(tmp_path / "r.png")
    assert GREY in found and not {GREEN, RED} & found
    search(place, f"--show={tmp_path}/r.png", "--identity=nobody", query="photo.png")
    found = colours(tmp_path / "r.png")
    assert RED in found and GREEN not in found
    assert [path.name for path in tmp_path.iterdir()] == ["r.png"]


def test_neither_tensorflow_nor_keras_is_loaded(place):
    done = run(place, f"--model={place}/m.tflite", f"--query={place}/photos/id2/07.png", "--json")
    assert done.returncode == 0 and done.stderr == "[]\n", done.stderr
    assert json.loads(done.stdout)["results"][0]["identity"] == "id2"


def test_neither_needs_to_be_installed(place, tmp_path):
    """Both commands; for `import`, `None` in sys.modules is a missing package."""
    absent = f"sys.modules.update(dict.fromkeys({HEAVY}))"
    code = f"import sys; {absent}\nfrom export.build_gallery import run\nrun()"
    flags = [f"--model={place}/m.tflite", f"--images={place}/photos", f"--output={tmp_path}/g.sqlite"]
    done = subprocess.run([sys.executable, "-c", code, *flags], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "24 in all" in done.stdout and "24 of 24 images" in done.stderr, done.stderr
    show = f"--show={tmp_path}/r.png"
    done = run(tmp_path, f"--model={place}/m.tflite", f"--query={place}/photos/id0/00.png", show, before=absent)
    assert done.returncode == 0 and (tmp_path / "r.png").is_file(), done.stderr


def test_a_mistake_is_one_line_and_status_1(place):
    done = run(place, f"--model={place}/m.tflite", "--query=nix.jpg")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: There is no image nix.jpg; check the path.\n"


def test_damaged_and_foreign_models_never_reach_the_interpreter(place, tmp_path):
    content = (place / "m.tflite").read_bytes()
    flipped = bytearray(content)
    flipped[-40] ^= 1
    for name, damaged in {"cut": content[: len(content) // 2], "flipped": flipped, "foreign": b"hello"}.items():
        (tmp_path / f"{name}.tflite").write_bytes(damaged)
        flags = [
            f"--model={tmp_path}/{name}.tflite",
            f"--gallery={place}/g.sqlite",
            f"--query={place}/photos/id0/00.png",
        ]
        with pytest.raises(ValueError, match=f"another model, m.*tflite, than .*{name}.tflite"):
            main(command_parser().parse_args(flags))


def test_an_unfinished_gallery_is_told(place, tmp_path, capsys):
    (tmp_path / "g.sqlite").write_bytes((place / "g.sqlite").read_bytes())
    with Gallery(tmp_path / "g.sqlite") as gallery:
        gallery.start("more photos")
    flags = [f"--model={place}/m.tflite", f"--gallery={tmp_path}/g.sqlite", f"--query={place}/photos/id0/00.png"]
    main(command_parser().parse_args(flags))
    said = capsys.readouterr()
    assert "g.sqlite lacks images of more photos" in said.err and len(said.out.splitlines()) == 5


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--top_k=0"], "--top_k must be positive. Received: 0"),
        (["--model="], "--model is missing"),
        (["--model=nix.tflite"], "no model nix.tflite"),
        ([f"--model={__file__}"], "must be a .tflite file"),
        (["--gallery=nix.sqlite"], "no gallery nix.sqlite"),
        ([f"--query={__file__}"], "test_search.py cannot be read"),
        (["--show=r.txt"], "--show must end in one of .*Received: r.txt"),
        (["--show=nix/r.png"], "no folder for --show=nix/r.png"),
    ],
)
def test_mistakes_are_named(place, flags, message):
    with pytest.raises((ValueError, OSError), match=message):
        search(place, *flags)
    assert not os.path.exists("r.txt")
