"""Every loader on a small tree with the true names and lists of its data set."""

import io
import zipfile

import pytest
from PIL import Image

from keras_cdd.data import load_dataset

DOT = io.BytesIO()
Image.new("RGB", (2, 2)).save(DOT, "png")


@pytest.fixture
def tree(tmp_path):
    """`tree("a/b.jpg", ..., **{"list.txt": "text"})` writes images and text files; gives their folder."""

    def write(*images, lists=None):
        for name, content in {**dict.fromkeys(images, DOT.getvalue()), **(lists or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return write


def summary(records, root):
    return [(record.path.removeprefix(f"{root}/"), record.identity, record.camera) for record in records]


def test_veri776(tree, caplog):
    root = tree(
        "VeRi/image_train/0001_c001_00016450_0.jpg",
        "VeRi/image_train/0001_c017_00016460_0.jpg",
        "VeRi/image_query/0002_c002_00030600_0.jpg",
        "VeRi/image_test/0002_c003_00030640_1.jpg",
    )
    dataset = load_dataset("veri776", root).validate()
    assert summary(dataset.train, root) == [
        ("VeRi/image_train/0001_c001_00016450_0.jpg", 1, 1),
        ("VeRi/image_train/0001_c017_00016460_0.jpg", 1, 17),
    ]
    assert summary(dataset.query, root) == [("VeRi/image_query/0002_c002_00030600_0.jpg", 2, 2)]
    assert summary(dataset.gallery, root) == [("VeRi/image_test/0002_c003_00030640_1.jpg", 2, 3)]
    assert "found 1 training identities, 2 training images, 1 queries, 1 gallery images" in caplog.text
    assert "published 576 training identities, 37778 training images, 1678 queries, 11579 gallery" in caplog.text


def test_veri776_names_a_file_that_is_not_its_own(tree):
    root = tree("image_train/holiday.jpg", "image_query/0001_c001_1_0.jpg", "image_test/0001_c002_1_0.jpg")
    with pytest.raises(ValueError, match="holiday.jpg should be named like 0001_c001"):
        load_dataset("veri776", root)


@pytest.mark.parametrize("folders", [("train", "test"), ("mask_train_v2", "mask_test_v2")])
def test_msmt17_numbers_training_and_test_persons_apart(tree, folders):
    lists = {
        "MSMT17/list_train.txt": "0000/0000_000_01_0303morning_0008_0.jpg 0\n",
        "MSMT17/list_val.txt": "0000/0000_001_05_0303morning_0008_1.jpg 0\n",
        "MSMT17/list_query.txt": "0000/0000_000_12_0303afternoon_0111_0.jpg 0\n",
        "MSMT17/list_gallery.txt": "0000/0000_002_14_0303afternoon_0111_0.jpg 0\n",
    }
    part = {"train": folders[0], "val": folders[0], "query": folders[1], "gallery": folders[1]}
    images = [f"MSMT17/{part[file[12:-4]]}/{line.split()[0]}" for file, line in lists.items()]
    root = tree(*images, lists=lists)
    dataset = load_dataset("msmt17", root).validate()
    assert summary(dataset.train, root) == [(images[0], "train/0", 1), (images[1], "train/0", 5)]
    assert summary(dataset.query, root) == [(images[2], "test/0", 12)]
    assert summary(dataset.gallery, root) == [(images[3], "test/0", 14)]


def vehicleid(tree):
    numbers = [f"{number:07d}" for number in range(1, 15)]
    return tree(
        *(f"image/{number}.jpg" for number in numbers),
        lists={
            "train_test_split/train_list.txt": f"{numbers[0]} 7\n{numbers[1]} 7\n",
            "train_test_split/test_list_800.txt": "".join(f"{n} {8 + i % 2}\n" for i, n in enumerate(numbers[2:])),
        },
    )


def test_vehicleid_puts_one_random_image_of_each_vehicle_into_the_gallery(tree):
    root = vehicleid(tree)
    galleries = set()
    for trial in range(10):
        dataset = load_dataset("vehicleid_small", root, gallery_trial=trial).validate()
        assert sorted(record.identity for record in dataset.gallery) == [8, 9]
        assert len({r.path for r in dataset.query + dataset.gallery}) == 12 == len(dataset.query) + 2
        galleries.add(tuple(record.path for record in dataset.gallery))
    assert len(galleries) > 3
    assert all(record.camera is None for record in dataset.train + dataset.query + dataset.gallery)


def test_vehicleid_galleries_are_repeatable_and_ten(tree):
    root = vehicleid(tree)
    assert load_dataset("vehicleid", root, gallery_trial=4) == load_dataset("vehicleid_small", root, gallery_trial=4)
    with pytest.raises(ValueError, match="gallery_trial=10"):
        load_dataset("vehicleid", root, gallery_trial=10)


@pytest.mark.parametrize("size, number", [("small", 3000), ("medium", 5000), ("large", 10000)])
def test_veri_wild(tree, size, number):
    names = ["00001/000001", "00001/000002", "00002/000003", "00002/000004"]
    rows = [f"{name};{33 + i};2018-03-11 09:12:32;Audi;SUV;black\n" for i, name in enumerate(names)]
    root = tree(
        *(f"images/{name}.jpg" for name in names),
        lists={
            "train_test_split/vehicle_info.txt": "id/image;Camera ID;Time;Model;Type;Color\n" + "".join(rows),
            "train_test_split/train_list.txt": "00001/000001\n00001/000002\n",
            f"train_test_split/test_{number}_query.txt": "00002/000003\n",
            f"train_test_split/test_{number}.txt": "00002/000004\n",
        },
    )
    dataset = load_dataset(f"veri_wild_{size}", root).validate()
    assert summary(dataset.train, root) == [
        ("images/00001/000001.jpg", 1, 33),
        ("images/00001/000002.jpg", 1, 34),
    ]
    assert summary(dataset.query, root) == [("images/00002/000003.jpg", 2, 35)]
    assert summary(dataset.gallery, root) == [("images/00002/000004.jpg", 2, 36)]


def test_vric(tree):
    root = tree(
        "train_images/a.jpg",
        "train_images/b.jpg",
        "probe_images/a.jpg",
        "gallery_images/a.jpg",
        lists={
            "vric_train.txt": "a.jpg 1 20\nb.jpg 1 21\n",
            "vric_probe.txt": "a.jpg 2 22\n",
            "vric_gallery.txt": "a.jpg 2 23\n",
        },
    )
    dataset = load_dataset("vric", root).validate()
    assert summary(dataset.train, root) == [("train_images/a.jpg", 1, 20), ("train_images/b.jpg", 1, 21)]
    assert summary(dataset.query + dataset.gallery, root) == [
        ("probe_images/a.jpg", 2, 22),
        ("gallery_images/a.jpg", 2, 23),
    ]


def test_grocery_products_are_called_after_their_folders(tree):
    """Whatever the depth of the folder, and whether or not the official folders sort a product alike."""
    photos = {0: "Fruit/Apple/Golden-Delicious/a.jpg", 67: "Vegetables/Brown-Cap-Mushroom/a.jpg"}
    folders = {"train": photos, "val": photos, "test": photos | {67: "Vegetables/Mushroom/Brown-Cap-Mushroom/a.jpg"}}
    listed = {folder: [f"{folder}/{p}, {i}, 1\n" for i, p in of.items()] for folder, of in folders.items()}
    root = tree(
        *(f"dataset/{folder}/{photo}" for folder, of in folders.items() for photo in of.values()),
        lists={f"dataset/{folder}.txt": "".join(rows) for folder, rows in listed.items()},
    )
    dataset = load_dataset("grocery", root)
    assert [record.identity for record in dataset.train] == [0, 0, 0]
    assert [record.identity for record in dataset.query + dataset.gallery] == [67, 67, 67]
    assert (dataset.name_of(0), dataset.name_of(67)) == ("Golden-Delicious", "Brown-Cap-Mushroom")


def test_omniglot_characters_are_called_by_alphabet_and_number(tree):
    root = tree(
        "images_background/Greek/character01/0001_05.png",
        "images_evaluation/Tengwar/character07/0002_01.png",
        "images_evaluation/Tengwar/character07/0002_05.png",
    )
    dataset = load_dataset("omniglot", root)
    assert [dataset.name_of(record.identity) for record in dataset.train] == ["Greek/character01"]
    tested = dataset.query + dataset.gallery
    assert [dataset.name_of(record.identity) for record in tested] == ["Tengwar/character07"] * 2


def test_inshop(tree):
    item = "img/WOMEN/Dresses/id_0000000"
    images = [f"{item}{i}/0{n}_1_front.jpg" for i, n in ((2, 1), (2, 2), (3, 1), (3, 2))]
    splits = ("train", "train", "query", "gallery")
    rows = [f"{image}   {image.split('/')[3]} {split}\n" for image, split in zip(images, splits, strict=True)]
    header = "4\nimage_name item_id evaluation_status\n"
    root = tree(*(f"Img/{image}" for image in images), lists={"Eval/list_eval_partition.txt": header + "".join(rows)})
    dataset = load_dataset("inshop", root).validate()
    assert [record.identity for record in dataset.train] == ["id_00000002"] * 2
    assert summary(dataset.query, root) == [(f"Img/{images[2]}", "id_00000003", None)]
    assert summary(dataset.gallery, root) == [(f"Img/{images[3]}", "id_00000003", None)]


def test_sop_searches_every_test_image_among_all_others(tree):
    header = "image_id class_id super_class_id path\n"
    images = [f"bicycle_final/11108512287{i}_0.JPG" for i in range(4)]
    root = tree(
        *(f"Stanford_Online_Products/{image}" for image in images),
        lists={
            "Stanford_Online_Products/Ebay_train.txt": header + f"1 1 1 {images[0]}\n2 1 1 {images[1]}\n",
            "Stanford_Online_Products/Ebay_test.txt": header + f"3 2 1 {images[2]}\n4 2 1 {images[3]}\n",
        },
    )
    dataset = load_dataset("sop", root).validate()
    assert (
        [r.path for r in dataset.query]
        == [r.path for r in dataset.gallery]
        == [f"{root}/Stanford_Online_Products/{image}" for image in images[2:]]
    )
    for query in dataset.query:
        junk = [r.path for r in dataset.gallery if (r.identity, r.camera) == (query.identity, query.camera)]
        assert junk == [query.path]


def test_a_list_that_names_an_absent_image_is_refused(tree):
    root = tree(
        "train_images/a.jpg",
        lists={"vric_train.txt": "a.jpg 1 20\nb.jpg 1 21\n", "vric_probe.txt": "", "vric_gallery.txt": ""},
    )
    with pytest.raises(FileNotFoundError, match="vric_train.txt lists b.jpg"):
        load_dataset("vric", root)


def test_archives_are_read_like_folders_and_shadows_of_a_mac_are_not(tmp_path):
    with zipfile.ZipFile(tmp_path / "VeRi.zip", "w") as archive:
        for name in (
            "image_train/0001_c001_1_0.jpg",
            "image_query/0002_c002_1_0.jpg",
            "image_test/0002_c003_1_0.jpg",
        ):
            archive.writestr(f"VeRi/{name}", DOT.getvalue())
            archive.writestr(f"__MACOSX/VeRi/{name.replace('/', '/._')}", b"shadow")
    dataset = load_dataset("veri776", tmp_path)
    assert summary(dataset.train, tmp_path) == [("VeRi.zip!/VeRi/image_train/0001_c001_1_0.jpg", 1, 1)]


@pytest.mark.parametrize("name", ["omniglot", "grocery", "veri776", "msmt17", "vehicleid_large", "sop", "folder"])
def test_a_missing_or_empty_folder_is_named_with_the_remedy(name, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder .*absent; give the folder of the data set"):
        load_dataset(name, tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        load_dataset(name, tmp_path)
    with pytest.raises(ValueError, match="data_dir=None"):
        load_dataset(name)


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK no archive")
    with pytest.raises(ValueError, match="a.zip cannot be read"):
        load_dataset("omniglot", tmp_path)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="'market'; take one of synthetic, omniglot.*csv"):
        load_dataset("market")


def test_what_cannot_be_downloaded_says_so(tmp_path):
    with pytest.raises(ValueError, match="'veri776' cannot be downloaded"):
        load_dataset("veri776", tmp_path, download=True)
