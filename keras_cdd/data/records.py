"""A retrieval data set: images with identities and cameras, in three splits."""

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
        path: path for `read_image`: a file, `archive.zip!/inner/path.png`, or `scheme://...`.
        identity: int or str, the person or object in the image; training and test identities are disjoint.
        camera: int or str, or None (the default) if unknown. In evaluation, a gallery image with the identity and the
            camera of the query is junk.
        split: "train" (the default), "query" or "gallery".
    """

    path: str
    identity: int | str
    camera: int | str | None = None
    split: str = "train"


@dataclasses.dataclass(frozen=True)
class RetrievalDataset:
    """A protocol: training images, queries and gallery.

    Attributes:
        name: name of the protocol.
        train, query, gallery: tuples of `ImageRecord`.
        flip: whether a mirrored image still shows the same identity; True by default.
        background: RGB 0..255 of the borders of shifted and rotated images; the mean colour of ImageNet by default.
        inverted: True if subjects are dark on white paper; networks then negate the pixels in their first layer. False
            by default.
        published: True for a protocol of the literature; identities with a single image are then reported instead of
            refused. False by default.
        names: identity -> name for people, as far as the data set knows names that its identities do not contain; none
            by default. Use `name_of`.
    """

    name: str
    train: tuple[ImageRecord, ...]
    query: tuple[ImageRecord, ...]
    gallery: tuple[ImageRecord, ...]
    flip: bool = True
    background: tuple[int, int, int] = MEAN_COLOUR
    inverted: bool = False
    published: bool = False
    names: dict[int | str, str] = dataclasses.field(default_factory=dict, hash=False)

    @classmethod
    def from_records(cls, name, records, **options):
        """Makes a data set from records, which are distributed by their `split` in their order.

        Args:
            name: name of the protocol.
            records: iterable of `ImageRecord`s.
            **options: other attributes of the data set.
        """
        splits = {split: [] for split in SPLITS}
        for record in records:
            splits[record.split].append(record)
        return cls(name, *(tuple(splits[split]) for split in SPLITS), **options)

    @functools.cached_property
    def identities(self):
        """List of the training identities, sorted, so that labels (their positions) do not depend on file order."""
        return sorted({record.identity for record in self.train}, key=lambda i: (isinstance(i, str), i))

    def name_of(self, identity):
        """The name of an identity for people; the identity itself as text if it has no other name."""
        return self.names.get(identity, str(identity))

    @property
    def num_identities(self):
        """Number of training identities."""
        return len(self.identities)

    @property
    def labels(self):
        """Label (contiguous class) of every training image, int32 (len(train),)."""
        return self.labels_of(self.train)

    def labels_of(self, records):
        """Labels (contiguous classes) of the given training records, int32 (len(records),)."""
        classes = {identity: label for label, identity in enumerate(self.identities)}
        return np.array([classes[record.identity] for record in records], np.int32)

    @property
    def rescaling(self):
        """(scale, offset) from pixels 0..255 to -1..1 in a network's first layer; inverted if `inverted` is set."""
        return (-1 / 127.5, 1.0) if self.inverted else (1 / 127.5, -1.0)

    def validate(self, splits=SPLITS):
        """Checks that the given splits can be used.

        Args:
            splits: names of the splits; all three by default.

        Returns:
            The data set itself.

        Raises:
            UserError: if a split is empty, a training identity has only one image (a warning if `published`), a query
                has no camera but gallery images do, no query has a match, or training and test share identities.
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
        if "query" in splits and "gallery" in splits:
            self._check_matches()
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
                "use different identities for training and testing."
            )

    def _check_matches(self):
        found = collections.defaultdict(set)
        for record in self.gallery:
            found[record.identity].add(record.camera)
        # As in `evaluation.metrics`: what the query's own camera took does not count, unless that is unknown.
        if not any(found[query.identity] - ({query.camera} - {None, -1}) for query in self.query):
            raise UserError(
                f"Data set {self.name!r} has no query with a match in the gallery; check identities and cameras of "
                "both: images of the query's own camera do not count."
            )
