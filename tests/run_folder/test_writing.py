"""A file is written completely or not at all."""

import json
import os
import subprocess
import sys

import pytest

from keras_cdd.run_folder.writing import append_line, copy_file, make_folder, whole, write_bytes, write_json, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_there_and_nothing_beside_it(tmp_path):
    write_text(tmp_path / "a.txt", "één")
    write_bytes(tmp_path / "b", b"\0")
    write_json(tmp_path / "c.json", {"a": [1]})
    write_json(tmp_path / "d.json", {"a": [1]}, indent=None)
    copy_file(tmp_path / "a.txt", tmp_path / "e.txt")
    assert (tmp_path / "e.txt").read_text(encoding="utf-8") == "één" and (tmp_path / "b").read_bytes() == b"\0"
    assert json.loads((tmp_path / "c.json").read_text()) == {"a": [1]}
    assert (tmp_path / "d.json").read_text() == '{"a": [1]}\n'
    assert names(tmp_path) == ["a.txt", "b", "c.json", "d.json", "e.txt"]


def test_a_failure_leaves_what_was_there(tmp_path):
    write_text(tmp_path / "a.txt", "before")
    with pytest.raises(KeyError), whole(tmp_path / "a.txt") as fresh:
        fresh.write_text("half")
        raise KeyError("a")
    assert names(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_text() == "before"


def test_content_reaches_the_disk_before_the_name_does(tmp_path, monkeypatch):
    acts, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (acts.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (acts.append("replace"), replace(*paths)))
    write_text(tmp_path / "a.txt", "x")
    assert acts == ["fsync", "replace", "fsync"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="writers take turns by locks")
def test_two_writers_of_one_file_take_turns_and_a_reader_sees_whole_files(tmp_path):
    path, contents = tmp_path / "a.txt", [letter * 200_000 for letter in "abc"]
    write_text(path, contents[0])
    children = []
    for content in contents[1:]:
        children.append(os.fork())
        if not children[-1]:
            try:
                for _ in range(20):
                    write_text(path, content)
            except BaseException:
                os._exit(1)
            os._exit(0)
    while children:
        assert path.read_text() in contents
        ended = {child: status for child in children for found, status in [os.waitpid(child, os.WNOHANG)] if found}
        assert not any(ended.values())
        children = [child for child in children if child not in ended]
    assert path.read_text() in contents[1:] and names(tmp_path) == ["a.txt"]


def test_a_line_starts_anew_after_one_that_was_cut_off(tmp_path):
    append_line(tmp_path / "a", "one")
    with open(tmp_path / "a", "a") as file:
        file.write("tw")
    append_line(tmp_path / "a", "three")
    assert (tmp_path / "a").read_text() == "one\ntw\nthree\n"


def test_folders_are_made_once(tmp_path):
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "a" / "c").touch()
    with pytest.raises(OSError):
        make_folder(tmp_path / "a" / "c" / "d")


def test_formats_are_chosen_by_the_ending(tmp_path):
    with whole(tmp_path / "picture.png") as fresh:
        assert fresh.suffix == ".png"
        fresh.touch()


def test_writing_needs_no_keras():
    code = "import sys; sys.modules['keras'] = None; import keras_cdd.run_folder.writing; "
    code += "sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
