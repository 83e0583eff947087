"""Training on your own photos, listed in a CSV file with four columns.

    python -m examples.own_data runs/own_data

Toy photos stand in for yours. Arguments after the folder are passed on to `keras_cdd.train`.
"""

import csv
import pathlib
import subprocess
import sys

from keras_cdd.data import write_synthetic

SMALL = ("--image_size=32,32", "--backbone=resnet18", "--width=8", "--stem=small", "--embedding_size=32")
SHORT = ("--teacher_epochs=6", "--epochs=6", "--target_macs=0.5", "--num_cuts=4")


def main(folder, *flags):
    """Writes photos and CSV file to `folder` and trains on them with `flags`; returns the workdir."""
    folder = pathlib.Path(folder)
    photos = write_synthetic(folder / "photos", train_identities=16, test_identities=16)
    with open(folder / "photos.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "identity", "camera", "split"])
        for record in (*photos.train, *photos.query, *photos.gallery):
            path = pathlib.Path(record.path).relative_to(folder)
            rows.writerow([path, record.identity, record.camera, record.split])
    data = ("--dataset=csv", f"--csv={folder / 'photos.csv'}", f"--workdir={folder / 'run'}")
    subprocess.run([sys.executable, "-m", "keras_cdd.train", *data, *SMALL, *SHORT, *flags], check=True)
    return folder / "run"


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["runs/own_data"]))
