"""What reads command lines, flagfiles, lists and images; see `readers.py`."""

import random
import shutil

from absl import flags
from hypothesis import strategies as st
from PIL import Image

from export.gallery.image_list import images_below, images_in_csv
from keras_cdd.data import load_dataset, read_image
from keras_cdd.data.file_tree import FileTree
from keras_cdd.errors import UserError
from keras_cdd.settings.config import SECTIONS
from keras_cdd.settings.flags import config_from_flagfile, config_from_flags, define_flags, parse_flags
from tests.reliability.change import SEEDS, change
from tests.reliability.damage import damaged, damaged_archive

NAMES = [name for section in SECTIONS.values() for name in section.__dataclass_fields__] + [
    "debug",
    "flagfile",
    "nosuch",
]
VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "-1", "nan", "inf", "1e999", "1,2", "1,,2", "true", "none", "\0", "a\nb", "é", "9" * 5000]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=20),
    st.lists(st.floats(), max_size=4).map(lambda numbers: ",".join(map(str, numbers))),
)
FLAGS = st.builds(
    lambda dashes, name, equals, value: f"{dashes}{name}{equals}{value}",
    st.sampled_from(["--", "-", "--no", ""]),
    st.sampled_from(NAMES),
    st.sampled_from(["=", " ", ""]),
    VALUES,
)
# A row of a CSV, as it is or with anything in a cell.
CELLS = st.one_of(
    st.sampled_from(
        [
            "photos/query/0004/0004_c0_00001.png",
            "a.zip!/b.png",
            "cat",
            "1",
            "train",
            "query",
            "",
            "\0!/a.png",
            "photos.csv!/a",
            "photos!/a",
        ]
    ),
    st.text(max_size=12),
    st.sampled_from(['"', '"a\nb"', "\0", "../x", "x" * 5000]),
)


def command_line(folder):
    values = flags.FlagValues()
    define_flags(values=values)

    def read(arguments):
        for name in values:
            values[name].unparse()
        try:
            parse_flags(["run", *arguments], values)
        except flags.Error as error:
            raise UserError(str(error)) from None
        config_from_flags(values)

    return st.lists(FLAGS.filter(lambda flag: "flagfile" not in flag), max_size=4), read


def flagfile(folder):
    path = folder / "fuzz.flags"
    lines = st.lists(
        st.one_of(FLAGS, st.sampled_from(["#", "--flagfile=fuzz.flags", "--flagfile=run.flags"])), max_size=5
    )
    texts = lines.map(lambda found: "\n".join(found).encode("utf-8", "surrogatepass"))

    def read(content):
        path.write_bytes(content)
        config_from_flagfile(path)

    return st.one_of(texts, st.binary(max_size=60)), read


def csv_list(folder):
    path = folder / "fuzz.csv"
    rows = st.lists(st.lists(CELLS, min_size=3, max_size=5).map(",".join), max_size=5)
    heads = st.sampled_from(
        ["path,identity,camera,split", "\ufeffsplit,path,camera,identity", "path,identity", "", "\0"]
    )
    texts = st.builds(
        lambda head, body, end: end.join([head, *body]).encode("utf-8", "surrogatepass"),
        heads,
        rows,
        st.sampled_from(["\n", "\r\n", "\r"]),
    )
    content = (folder / "photos.csv").read_bytes()
    lines = [line.split(",") for line in content.decode().splitlines()]

    def with_cell(row, column, cell):
        cells = [list(line) for line in lines]
        cells[row][column] = cell
        return "\n".join(map(",".join, cells)).encode("utf-8", "surrogatepass")

    places = (st.integers(0, len(lines) - 1), st.integers(0, len(lines[0]) - 1))
    odd = st.builds(with_cell, *places, CELLS)

    def read(given):
        path.write_bytes(damaged(content, random.Random(given)) if isinstance(given, int) else given)
        images_in_csv(path)
        load_dataset("csv", csv=str(path)).validate()

    return st.one_of(texts, SEEDS, odd, odd), read


def archive(folder):
    shutil.make_archive(str(folder / "all"), "zip", folder, "photos")
    (folder / "tree").mkdir()
    path = (folder / "all.zip").rename(folder / "tree/all.zip")
    seeds, write = change(path, damaged_archive)

    def read(given):
        write(given)
        unreadable = 0
        for record in images_below(path):
            try:
                read_image(record.path)
            except UserError:
                unreadable += 1
        FileTree(path.parent).images("photos")
        if unreadable:
            raise UserError("unreadable")

    return seeds, read


def image(folder):
    picture = Image.open(folder / "photos/query/0004/0004_c0_00001.png").convert("RGB")
    exif = Image.Exif()
    exif[0x112], exif[0x10E] = 6, "text"
    files = []
    for name, options in {"jpg": {"exif": exif}, "png": {"exif": exif}, "webp": {"exif": exif}, "bmp": {}}.items():
        picture.save(folder / f"whole.{name}", **options)
        files.append((folder / f"fuzz.{name}", (folder / f"whole.{name}").read_bytes()))

    def read(seed):
        rng = random.Random(seed)
        path, content = rng.choice(files)
        path.write_bytes(damaged(content, rng))
        read_image(path)

    return SEEDS, read
