"""What a retrieval data set is: images with an identity and a camera, in three splits."""

import collections
import dataclasses
import functools
import logging

import numpy as np

from keras_cdd.errors import UserError

SPLITS = ("train", "query", "gallery")
MEAN_COLOUR = (124, 116, 104)


@dataclasses.dataclass(frozen=True)
class ImageRecord:
    """One image.

    Attributes:
        path: what `read_image` takes: a file, `archive.zip!/inner/path.png`, or `scheme://...`.
        identity: what is shown (an int or a string); training and test identities never meet.
        camera: who took it (an int or a string), or None. Same identity and same camera is junk in
            evaluation.
        split: "train", "query" or "gallery".
    """

    path: str
    identity: int | str
    camera: int | str | None = None
    split: str = "train"


@dataclasses.dataclass(frozen=True)
class RetrievalDataset:
    """A protocol: what to train on, what to search with, what to search in.

    Attributes:
        name: of the protocol.
        train, query, gallery: tuples of `ImageRecord`.
        flip: whether a mirrored image still shows the same identity.
        background: RGB 0..255 that shifted and rotated images show where they have moved away.
        inverted: the subject is dark on white paper; networks negate the pixels in their first layer.
        published: a protocol of the literature, whose oddities are kept and reported instead of refused.
    """

    name: str
    train: tuple[ImageRecord, ...]
    query: tuple[ImageRecord, ...]
    gallery: tuple[ImageRecord, ...]
    flip: bool = True
    background: tuple[int, int, int] = MEAN_COLOUR
    inverted: bool = False
    published: bool = False

    @classmethod
    def from_records(cls, name, records, **options):
        """Sorts records into the three splits by their `split`, keeping their order."""
        splits = {split: [] for split in SPLITS}
        for record in records:
            splits[record.split].append(record)
        return cls(name, *(tuple(splits[split]) for split in SPLITS), **options)

    @functools.cached_property
    def identities(self):
        """The training identities, sorted so that labels, their positions, never depend on file order."""
        return sorted({record.identity for record in self.train}, key=lambda i: (isinstance(i, str), i))

    @property
    def num_identities(self):
        """How many identities there are to train on."""
        return len(self.identities)

    @property
    def labels(self):
        """Contiguous class of every training image, int32 (len(train),)."""
        return self.labels_of(self.train)

    def labels_of(self, records):
        """Contiguous classes of some training records, int32 (len(records),)."""
        classes = {identity: label for label, identity in enumerate(self.identities)}
        return np.array([classes[record.identity] for record in records], np.int32)

    @property
    def rescaling(self):
        """(scale, offset) that takes pixels 0..255 to -1..1 in a network's first layer, ink bright."""
        return (-1 / 127.5, 1.0) if self.inverted else (1 / 127.5, -1.0)

    def validate(self, splits=SPLITS):
        """Returns itself if the named splits can be used.

        Raises:
            ValueError: for an empty split, training identities with one image only, queries without a camera
                beside a gallery with cameras, or identities that are both trained on and tested.
        """
        for split in splits:
            if not getattr(self, split):
                raise UserError(f"Data set {self.name!r} has no {split} images; check its folder or list.")
        if "train" in splits:
            self._check_singles()
        if "query" in splits and "gallery" in splits:
            self._check_cameras()
        if set(splits) == set(SPLITS):
            self._check_overlap()
        return self

    def _check_singles(self):
        counts = collections.Counter(record.identity for record in self.train)
        single = [identity for identity, count in counts.items() if count == 1]
        if not single:
            return
        found = f"{len(single)} training identities with one image only, as {single[0]!r}"
        if not self.published:
            raise UserError(f"Data set {self.name!r} has {found}; add images or leave these identities out.")
        logging.warning("Data set %r has %s; their batches repeat it.", self.name, found)

    def _check_cameras(self):
        if all(record.camera is None for record in self.gallery):
            return
        without = [record.path for record in self.query if record.camera is None]
        if without:
            raise UserError(
                f"Data set {self.name!r} has cameras in its gallery but {len(without)} queries without one, "
                f"as {without[0]}; give every image a camera, or none."
            )

    def _check_overlap(self):
        tested = {record.identity for record in self.query + self.gallery}
        both = [identity for identity in self.identities if identity in tested]
        if both:
            raise UserError(
                f"Data set {self.name!r} tests {len(both)} identities that it trains on, as {both[0]!r}; "
                "give training and test different identities."
            )
