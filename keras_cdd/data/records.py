"""What a retrieval data set is: images with an identity and a camera, in three parts."""

import collections
import dataclasses

SPLITS = ("train", "query", "gallery")


@dataclasses.dataclass(frozen=True)
class ImageRecord:
    """One image.

    Attributes:
        path: file, or `archive.zip!/inner/path.png`, or what the data set's own reader takes.
        identity: what is shown (an int or a string); training and test identities never meet.
        camera: who took it (an int or a string), or None. Same identity and same camera is junk in evaluation.
    """

    path: str
    identity: int | str
    camera: int | str | None = None


@dataclasses.dataclass(frozen=True)
class RetrievalDataset:
    """A protocol: what to train on, what to search with, what to search in.

    Attributes:
        name: of the protocol.
        train, query, gallery: tuples of `ImageRecord`.
        flip: whether a mirrored image still shows the same identity.
        background: RGB 0..255 that shifted and rotated images show at their borders.
        inverted: the subject is dark on white paper; networks then negate pixels first, so that ink is bright.
    """

    name: str
    train: tuple[ImageRecord, ...]
    query: tuple[ImageRecord, ...]
    gallery: tuple[ImageRecord, ...]
    flip: bool = True
    background: tuple[int, int, int] = (0, 0, 0)
    inverted: bool = False

    @property
    def labels(self):
        """Contiguous training class of every training image, identities in sorted order."""
        classes = {identity: label for label, identity in enumerate(self.identities)}
        return [classes[record.identity] for record in self.train]

    @property
    def identities(self):
        """The training identities, sorted."""
        return sorted({record.identity for record in self.train}, key=lambda i: (str(type(i)), i))

    @property
    def rescaling(self):
        """(scale, offset) that takes pixels 0..255 to -1..1, dark or bright side up."""
        return (-1 / 127.5, 1.0) if self.inverted else (1 / 127.5, -1.0)

    def validated(self, need=SPLITS):
        """Returns itself if the parts named can be used.

        Raises:
            ValueError: for an empty part, training identities with one image only, queries without a camera beside a
                gallery with cameras, or identities that are trained and tested.
        """
        for split in need:
            if not getattr(self, split):
                raise ValueError(f"Data set {self.name!r} has no {split} images; check its folder or list.")
        if "train" in need:
            counts = collections.Counter(record.identity for record in self.train)
            single = [identity for identity, count in counts.items() if count < 2]
            if single:
                raise ValueError(
                    f"Data set {self.name!r} has {len(single)} training identities with one image only, "
                    f"for example {single[0]!r}; add images or leave them out."
                )
        if {"query", "gallery"} <= set(need):
            self._validate_cameras()
        if set(need) == set(SPLITS):
            both = {r.identity for r in self.train} & {r.identity for r in self.query + self.gallery}
            if both:
                raise ValueError(
                    f"Data set {self.name!r} tests {len(both)} identities that it trains on, "
                    f"for example {sorted(both, key=str)[0]!r}; keep them apart."
                )
        return self

    def _validate_cameras(self):
        if any(record.camera is not None for record in self.gallery):
            without = [record.path for record in self.query if record.camera is None]
            if without:
                raise ValueError(
                    f"Data set {self.name!r} has cameras in its gallery but {len(without)} queries without one, "
                    f"for example {without[0]}; give every image a camera, or none."
                )
