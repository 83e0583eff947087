"""The page of finished, running and broken runs, read as text."""

import html.parser
import json
import os
import re

import pytest

from keras_cdd.report.headline import headline, headline_text
from keras_cdd.report.page import write_report
from keras_cdd.run_folder.reading import RunFiles
from tests.report.conftest import LONG_NAME


class Page(html.parser.HTMLParser):
    """Tags with their attributes, and the text between."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self.style = [], [], False
        self.feed(path.read_text())
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.style = tag == "style"

    def handle_data(self, data):
        self.words += [] if self.style else [data]

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def examples_of(run):
    return json.loads((run / "examples.json").read_text())


def test_a_finished_run_shows_everything(finished):
    page = Page(write_report(finished))
    parts = ("Training", "Channels", "Surgeries", "Rankings", "Where the networks look", "Settings", "Environment")
    assert all(part in page.text for part in parts)
    charts = ("Loss", "The student's losses", "mAP, percent", "Million MACs an image", "Seconds an epoch")
    assert all(chart in page.text for chart in (*charts, "Channels kept", "Channels by importance"))
    assert "finished after 6 min" in page.text and "model_int8.tflite" in page.text
    assert not list(finished.glob("*.new"))


def test_the_page_needs_nothing_else_and_describes_every_picture(finished):
    page = Page(write_report(finished))
    assert not page.all("script")
    sources = [value for _, tag in page.tags for key, value in tag.items() if key.endswith(("src", "href"))]
    assert len(sources) > 40 and all(source.startswith(("data:", "#")) for source in sources)
    assert all(image["alt"] for image in page.all("img"))
    drawings = [figure for figure in page.all("figure") if figure.get("role") == "img"]
    assert len(drawings) == len(page.all("svg")) == 7 and all(figure["aria-label"] for figure in drawings)
    names = [tag["id"] for _, tag in page.tags if "id" in tag]
    assert len(names) == len(set(names))


def test_the_charts_say_what_they_show(finished):
    page = Page(write_report(finished))
    words = " ".join(figure.get("aria-label", "") for figure in page.all("figure"))
    assert "teacher 9.00 after epoch 1, 2.25 after epoch 4" in words
    assert "Surgeries after epochs 2, 4." in words and "24.00 after epoch 2, 72.00 after epoch 6" in words
    assert "Channels of 8 sites over 2 surgeries: 96 at the start, 36 now." in words
    assert "10 channels below or near the line at 1 were cut, 16 stayed" in words


def test_a_running_run_has_a_page_without_accuracy(running):
    page = Page(write_report(running))
    assert "not finished: student epoch 6 of 6 is complete" in page.text
    assert not page.all("img") and not [tag for tag in page.all("table") if tag.get("class") == "headline"]
    assert len(page.all("svg")) == 7


def test_a_run_that_has_just_begun_has_a_page(tmp_path):
    (tmp_path / "flags.flags").write_text("--dataset=synthetic\n")
    page = Page(write_report(tmp_path))
    assert "no epoch is complete" in page.text and not page.all("svg")


def test_a_folder_whose_name_is_no_utf8_has_a_page(running):
    odd = running.rename(running.with_name(os.fsdecode(b"run\xff")))
    assert r"run\udcff" in Page(write_report(odd)).text


def test_a_run_of_a_single_epoch_without_surgery(running):
    line = (running / "metrics.jsonl").read_text().splitlines()[0]
    (running / "metrics.jsonl").write_text(line + "\n")
    for name in ("surgery.jsonl", "cuts.jsonl", "environment.json"):
        (running / name).unlink()
    page = Page(write_report(running))
    assert "teacher epoch 1 of 4" in page.text and len(page.all("svg")) == 3


def test_settings_are_shown_as_they_are(finished):
    page = Page(write_report(finished))
    assert 'csv a<b>&"c".csv' in page.text and "flip false" in page.text and "resume true" in page.text


def test_damaged_extras_are_left_out(finished):
    (finished / "examples.json").write_text("{")
    (finished / "model_int8.json").write_text("[1]")
    page = Page(write_report(finished))
    assert "Rankings" not in page.text and "model_int8" not in page.text and "73.82" in page.text


def test_photos_are_captioned_with_names_shortened_where_they_are_long(finished):
    rankings = examples_of(finished)["rankings"]
    results = [photo for ranking in rankings for photo in (*ranking["student"], ranking["query"])]
    names = {photo["name"] for photo in results}
    long = {name for name in names if name.startswith(LONG_NAME)}
    assert long and len(long) < len(names)
    page = Page(write_report(finished))
    assert {tag["title"] for tag in page.all("figcaption") if "title" in tag} == long
    assert not any(name in page.text for name in long) and re.search(r"God-Morgon\S{5,12}\.\.\.\S{9,}", page.text)
    assert all(name in page.text for name in names - long)


def test_names_are_text_and_not_markup(finished):
    page = Page(write_report(finished))
    assert not page.all("i") and "<i>Cox</i> & " in page.text
    assert any("<i>Cox</i> & " in image["alt"] for image in page.all("img"))


HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>]]>&{{ 7*7 }}"


def poisoned(value, key=""):
    """The JSON value with markup in all its texts, and in the names of sites and machines."""
    if isinstance(value, dict):
        return {
            (name + HOSTILE if "/" in name or key == "versions" else name): poisoned(inner, name)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [poisoned(inner, key) for inner in value]
    fixed = not isinstance(value, str) or key in ("stage", "measure", "pictures")
    return value if fixed else value + HOSTILE


def test_no_name_of_a_strangers_run_becomes_markup(finished):
    """Sites, identities, models, machines and settings; and the page may load nothing and run no script."""
    before = Page(write_report(finished))
    with open(finished / "flags.flags", "a") as file:
        file.write(f"--data_dir={HOSTILE}\n--workdir={HOSTILE}\n")
    record = {"model": "m.keras", "image_height": 64, "image_width": 64, "mAP": 12.25}
    (finished / "evaluations.jsonl").write_text(json.dumps(poisoned(record)) + "\n")
    for path in (*finished.glob("*.json"), *finished.glob("*.jsonl")):
        texts = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        whole = [json.loads(text) for text in texts if text.strip()[-1] == "}"]
        path.write_text("\n".join(json.dumps(poisoned(value)) for value in whole))
    (finished / "model_int8.tflite").rename(finished / "model_<script>alert(2)<|script>.tflite")
    (finished / "model_int8.json").rename(finished / "model_<script>alert(2)<|script>.json")
    after = Page(write_report(finished))
    assert not after.all("script") and after.text.count("alert(1)") > 30 and "alert(2)" in after.text
    assert len(after.all("img")) == len(before.all("img")) and "{{ 7*7 }}" in after.text
    assert not [name for _, tag in after.tags for name in tag if name.startswith("on")]
    sources = [value for _, tag in after.tags for key, value in tag.items() if key.endswith(("src", "href"))]
    assert all(source.startswith(("data:", "#")) for source in sources)
    (policy,) = [tag["content"] for tag in after.all("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_a_run_from_before_names_shows_its_identities(finished):
    examples = examples_of(finished)
    for ranking in examples["rankings"]:
        for photo in (ranking["query"], *ranking["student"], *ranking["teacher"]):
            del photo["name"]
    for example in examples["activations"]:
        del example["image"]["name"]
    (finished / "examples.json").write_text(json.dumps(examples))
    identities = {ranking["query"]["identity"] for ranking in examples["rankings"]}
    page = Page(write_report(finished))
    sections = {tag["aria-label"].split(", ")[1] for tag in page.all("section")}
    assert sections == identities and all(f" {identity} " in page.text for identity in identities)


def test_a_teacher_from_elsewhere_is_weighed(finished, tmp_path):
    (finished / "teacher.keras").rename(tmp_path / "given.keras")
    with open(finished / "flags.flags", "a") as file:
        file.write(f"--teacher={tmp_path}/given.keras\n")
    assert "1,858,143" in Page(write_report(finished)).text


def test_a_run_without_a_teachers_accuracy(finished):
    summary = json.loads((finished / "summary.json").read_text())
    del summary["teacher"]["mAP"], summary["teacher"]["rank1"], summary["latency_ms"]
    (finished / "summary.json").write_text(json.dumps(summary))
    page = Page(write_report(finished))
    assert "mAP of its teacher" not in page.text and "–" in page.text


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} holds no run"):
        write_report(tmp_path)


def test_the_headline_as_plain_text(finished):
    lines = headline_text(RunFiles(finished)).splitlines()
    names = ["teacher.keras", "student.keras", "deploy.keras", "model_int8.tflite"]
    assert [line.split()[0] for line in lines[1:5]] == names
    assert {"mAP", "%", "Rank-1", "parameters", "MACs", "bytes", "ms"} == set(lines[0].split())
    assert {"71.68", "82.03", "401,384", "10,217,472", "16.23"} <= set(lines[1].split())
    assert lines[5:] == ["55.0 % of the MACs saved", "69.4 % of the parameters saved"]


def test_the_headline_shows_the_students_queries_in_the_teachers_gallery(finished):
    summary = json.loads((finished / "summary.json").read_text())
    (finished / "summary.json").write_text(json.dumps(summary | {"asymmetric": {"mAP": 72.25, "rank1": 81.5}}))
    row = [line for line in headline_text(RunFiles(finished)).splitlines() if "in the teacher's gallery" in line]
    assert len(row) == 1 and {"72.25", "81.50"} <= set(row[0].split())
    assert "student in the teacher's gallery" in Page(write_report(finished)).text


def test_a_model_that_was_evaluated_has_a_name_of_its_own(finished):
    own = {"image_height": 64, "image_width": 64, "mAP": 12.25}
    records = [
        own | {"model": "elsewhere/deploy.keras"},
        own | {"model": "mobilenet_v2", "pretrained": "imagenet", "image_height": 96},
        own | {"model": "m.tflite", "gallery_model": "big/teacher.keras"},
        own | {"model": "m.tflite", "gallery_model": "big/teacher.keras", "mAP": 24.5},
    ]
    (finished / "evaluations.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    rows = {name: cells[0].shown for name, cells in headline(RunFiles(finished)).items()}
    assert rows["deploy.keras"] == "73.82" and rows["elsewhere/deploy.keras"] == "12.25"
    assert rows["mobilenet_v2, imagenet, 96 × 64"] == "12.25"
    assert rows["m.tflite in the gallery of teacher.keras"] == "24.50"
    assert "what you would have without training" in Page(write_report(finished)).text


def test_before_the_end_there_is_no_headline(running):
    assert headline_text(RunFiles(running)) == ""
