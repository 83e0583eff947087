"""The app's assets: a model and gallery that belong together, and golden vectors computed from them."""

import hashlib
import json
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from export.android.manifest import read_manifest
from export.android_assets import ASSETS, GOLDEN, command_parser, main
from export.build_gallery import command_parser as build_parser
from export.build_gallery import main as build
from export.gallery.embedding_model import EmbeddingModel
from export.gallery.gallery import Gallery
from keras_cdd.data import read_image, resize
from tests.export.conftest import assert_best, similarities_in


@pytest.fixture(scope="module")
def place(tiny_tflite, photos, tmp_path_factory):
    """A folder with `photos/id<n>/<n>.png` and their gallery."""
    place = tmp_path_factory.mktemp("assets")
    for number, photo in enumerate(photos):
        path = place / "photos" / f"id{number // 3}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).resize((700, 520)).save(path)
    build(
        build_parser().parse_args([f"--model={tiny_tflite}", f"--output={place}/g.sqlite", f"--images={place}/photos"])
    )
    return place


def write(model, gallery, android_dir, *more):
    main(
        command_parser().parse_args([f"--model={model}", f"--gallery={gallery}", f"--android_dir={android_dir}", *more])
    )


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_manifest_and_golden_vectors(tiny_tflite, place, tmp_path):
    stale = tmp_path / GOLDEN / "99.png"
    stale.parent.mkdir(parents=True)
    stale.touch()
    write(tiny_tflite, place / "g.sqlite", tmp_path)
    assets, golden = tmp_path / ASSETS, tmp_path / GOLDEN
    samples = [f"samples/{number}.png" for number in range(6)]
    assert names(assets) == ["gallery.sqlite", "manifest.json", "model.tflite", *samples]
    manifest = read_manifest(assets)
    assert manifest == json.loads((assets / "manifest.json").read_text())
    assert manifest["format"] == "keras_cdd manifest" and manifest["version"] == 1
    assert manifest["model"] == {
        "file": "model.tflite",
        "sha256": sha256(tiny_tflite),
        "bytes": tiny_tflite.stat().st_size,
        "image_height": 16,
        "image_width": 16,
        "input_type": "uint8",
        "batch": "any",
        "embedding_size": 8,
        "output_type": "float32",
        "output_scale": 0.0,
        "output_zero_point": 0,
    }
    assert manifest["gallery"] == {
        "file": "gallery.sqlite",
        "sha256": sha256(assets / "gallery.sqlite"),
        "images": 24,
        "embedding_type": "int8",
    }
    # Six of eight identities, from the first to the last but one.
    assert [sample["identity"] for sample in manifest["samples"]] == ["id0", "id1", "id2", "id4", "id5", "id6"]
    for sample in manifest["samples"]:
        assert max(read_image(assets / sample["file"]).shape) == 512
    assert names(golden) == sorted([f"{n}.{end}" for n in range(8) for end in ("png", "rgb")] + ["golden.json"])
    check_golden(golden, tiny_tflite, assets / "gallery.sqlite")


def check_golden(folder, model, gallery):
    golden = json.loads((folder / "golden.json").read_text())
    assert {name: golden[name] for name in ("image_height", "image_width", "embedding_size")} == {
        "image_height": 16,
        "image_width": 16,
        "embedding_size": 8,
    }
    shapes = set()
    for entry in golden["images"]:
        photo = read_image(folder / entry["file"])
        shapes.add(photo.shape)
        tensor = resize(photo, (16, 16))
        assert (folder / entry["tensor"]).read_bytes() == tensor.tobytes()
        assert entry["tensor_sha256"] == hashlib.sha256(tensor.tobytes()).hexdigest()
        embedding = EmbeddingModel(model).embed(tensor[None])
        np.testing.assert_allclose(entry["embedding"], embedding[0], atol=1e-6)
        assert len(entry["ranking"]) == 5
        with Gallery(gallery) as opened:
            expected = similarities_in(opened, embedding[0])
        assert_best(*([found[key] for found in entry["ranking"]] for key in ("path", "similarity")), expected)
    # Landscape, a narrow strip, and fewer pixels than the model takes.
    assert shapes == {(380, 512, 3), (380, 170, 3), (6, 9, 3)}


def test_given_samples_and_a_pair(tiny_tflite, place, tmp_path, capsys):
    rows = ["path,identity,camera,split"]
    rows += [f"{place}/photos/id{n}/{3 * n:02}.png,{'id' if n < 2 else 'unknown'}{n},,query" for n in range(4)]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    flags = (f"--samples={tmp_path}/list.csv", f"--pair={tmp_path}/pair.zip")
    write(tiny_tflite, place / "g.sqlite", tmp_path / "nowhere", *flags)
    assert "pair.zip" in capsys.readouterr().out and not (tmp_path / "nowhere").exists()
    with zipfile.ZipFile(tmp_path / "pair.zip") as archive:
        archive.extractall(tmp_path / "pair")
    assert names(tmp_path / "pair") == sorted(
        ["manifest.json", "model.tflite", "gallery.sqlite", "samples/0.png", "samples/1.png"]
    )
    # Two of the four are in the gallery.
    assert [sample["identity"] for sample in read_manifest(tmp_path / "pair")["samples"]] == ["id0", "id1"]


def test_without_the_photos_their_thumbnails(tiny_tflite, photos, tmp_path):
    Image.fromarray(photos[0]).resize((700, 520)).save(tmp_path / "a.png")
    build(build_parser().parse_args([f"--model={tiny_tflite}", f"--output={tmp_path}/g", f"--images={tmp_path}"]))
    (tmp_path / "a.png").unlink()
    (tmp_path / "app").mkdir()
    write(tiny_tflite, tmp_path / "g", tmp_path / "app")
    assert read_image(tmp_path / "app" / ASSETS / "samples" / "0.png").shape == (71, 96, 3)


def test_a_changed_file_is_told(tiny_tflite, place, tmp_path):
    write(tiny_tflite, place / "g.sqlite", tmp_path)
    assets = tmp_path / ASSETS
    with open(assets / "gallery.sqlite", "ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match="gallery.sqlite is not the file that .*manifest.json means"):
        read_manifest(assets)
    (assets / "model.tflite").unlink()
    with pytest.raises(FileNotFoundError, match="no .*model.tflite, which .*manifest.json names"):
        read_manifest(assets)


def test_a_gallery_is_not_read_into_memory(tiny_tflite, place, tmp_path):
    write(tiny_tflite, place / "g.sqlite", tmp_path)
    assets = tmp_path / ASSETS
    with (assets / "gallery.sqlite").open("ab") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    with pytest.raises(ValueError, match="gallery.sqlite is not the file"):
        read_manifest(assets)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 4 << 20


def test_what_the_app_cannot_use(tiny_tflite, network, place, tmp_path):
    from export.conversion.quantize import to_tflite

    (tmp_path / "float.tflite").write_bytes(to_tflite(network, "float32", "float32"))
    build(
        build_parser().parse_args(
            [f"--model={tmp_path}/float.tflite", f"--output={tmp_path}/f.sqlite", f"--images={place}/photos/id0"]
        )
    )
    with pytest.raises(ValueError, match="takes float32 pixels and the app gives uint8"):
        write(tmp_path / "float.tflite", tmp_path / "f.sqlite", tmp_path)
    with pytest.raises(ValueError, match="built with another model"):
        write(tiny_tflite, tmp_path / "f.sqlite", tmp_path)
    with Gallery(tmp_path / "f.sqlite") as gallery:
        gallery.start("more")
    with pytest.raises(ValueError, match="lacks images of more"):
        write(tmp_path / "float.tflite", tmp_path / "f.sqlite", tmp_path)
    with pytest.raises(FileNotFoundError, match="There is no folder .*nix"):
        write(tiny_tflite, place / "g.sqlite", tmp_path / "nix")
    with pytest.raises(ValueError, match="--pair must end in .zip"):
        write(tiny_tflite, place / "g.sqlite", tmp_path, "--pair=p.tar")
    assert names(tmp_path) == ["f.sqlite", "float.tflite"]
