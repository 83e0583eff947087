"""Queries to show: what student and teacher found, good, bad and at random."""

import base64
import io

import numpy as np
from PIL import Image

from keras_cdd.data.image import read_image
from keras_cdd.evaluation.metrics import UNKNOWN_CAMERAS, unit_length
from keras_cdd.report.activations import activation_maps
from keras_cdd.report.block_name import block_name
from keras_cdd.report.ranking_strip import RankedPhoto, ranking_strip

TOP = 5
SIDE = 128


class Examples:
    """Gathers the pictures of a finished run.

    Args:
        evaluator: `Evaluator`.
        embeddings: "student" and, where there is one, "teacher" -> (query, gallery) embeddings.
        precisions: the same keys -> (queries,) average precisions, NaN where a query does not count.
        count: queries of each kind.
    """

    def __init__(self, evaluator, embeddings, precisions, count=3):
        self.query, self.gallery = evaluator.query.records, evaluator.gallery.records
        self.store = evaluator.query
        self.precisions = precisions
        self.embeddings = {who: tuple(map(unit_length, sides)) for who, sides in embeddings.items()}
        self.chosen = _choose(precisions["student"], count)
        self.pictures, self._places = [], {}

    def collect(self, networks):
        """All that the page shows, ready for JSON: pictures as data URLs, the rest pointing to them by position.

        Args:
            networks: "student" and "teacher" -> Keras model, for the activation maps.
        """
        rankings = [self._ranking(kind, query) for kind, query in self.chosen]
        activations = self._activations(networks, [query for kind, query in self.chosen][::2][:4])
        return {
            "gallery": len(self.gallery),
            "rankings": rankings,
            "activations": activations,
            "pictures": self.pictures,
        }

    def strips(self):
        """(kind, uint8 picture (H, W, 3)) of every ranking, the student's row above the teacher's."""
        for kind, query in self.chosen:
            asked = RankedPhoto(self._image(self.query[query]), (str(self.query[query].identity),))
            rows = []
            for who in self.embeddings:
                found = [
                    RankedPhoto(self._image(record), (f"{similarity:.3f}", str(record.identity)), match)
                    for record, similarity, match in self._results(who, query)
                ]
                title = f"{kind}: {who}, AP {100 * self.precisions[who][query]:.1f} %"
                rows.append(np.asarray(ranking_strip(asked, found, title)))
            yield kind, np.concatenate(rows)

    def _ranking(self, kind, query):
        record = self.query[query]
        ranking = {
            "kind": kind,
            "query": self._photo(record, f"query: {record.identity}"),
            "average_precision": {who: round(100 * float(ap[query]), 3) for who, ap in self.precisions.items()},
        }
        for who in self.embeddings:
            ranking[who] = []
            for number, (found, similarity, match) in enumerate(self._results(who, query), start=1):
                words = f"{who}'s result {number}: {found.identity}, {'right' if match else 'wrong'}"
                extra = {"similarity": round(similarity, 4), "match": match}
                ranking[who].append(self._photo(found, f"{words}, similarity {similarity:.3f}") | extra)
        return ranking

    def _results(self, who, query):
        """The first of the gallery, junk left out: (record, similarity, match)."""
        asked = self.query[query]
        queries, gallery = self.embeddings[who]
        similarity = gallery @ queries[query]
        results = []
        for place in np.argsort(-similarity, kind="stable"):
            found = self.gallery[place]
            match = found.identity == asked.identity
            if match and found.camera == asked.camera and found.camera not in UNKNOWN_CAMERAS:
                continue
            results.append((found, float(similarity[place]), match))
            if len(results) == TOP:
                break
        return results

    def _activations(self, networks, queries):
        images = self.store.take(np.array(queries))
        maps = {who: activation_maps(network, images) for who, network in networks.items()}
        shown = []
        for number, query in enumerate(queries):
            identity = self.query[query].identity
            entries = [
                {
                    "who": who,
                    "block": block_name(block),
                    "words": f"where {block} of the {who} responds to {identity}",
                    "picture": self._add(pictures[number]),
                }
                for who in networks
                for block, pictures in maps[who].items()
            ]
            shown.append({"image": self._photo(self.query[query], f"query: {identity}"), "maps": entries})
        return shown

    def _photo(self, record, words):
        if record.path not in self._places:
            self._places[record.path] = self._add(self._image(record))
        # Identities that are paths are told apart by their last two parts; the words have them in full.
        identity = "/".join(str(record.identity).split("/")[-2:])
        return {"picture": self._places[record.path], "identity": identity, "words": words}

    def _image(self, record):
        """The photo itself, as it was before it was made small for the network; uint8 (H, W, 3)."""
        image = Image.fromarray(read_image(record.path))
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        return np.asarray(image)

    def _add(self, image):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=85)
        self.pictures.append("data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode())
        return len(self.pictures) - 1


def _choose(precisions, count):
    """(kind, query), no query twice: the best and the worst by average precision, others at random."""
    valid = np.flatnonzero(np.isfinite(precisions))
    random = np.random.default_rng(0)
    valid = random.permutation(valid)  # Equals come in no order of their own.
    order = valid[np.argsort(-precisions[valid], kind="stable")]
    count = min(count, max(1, len(order) // 3))
    best, worst, rest = order[:count], order[count:][::-1][:count], order[count : len(order) - count]
    others = random.permutation(rest)[:count]
    kinds = zip(("best", "worst", "random"), (best, worst, others), strict=True)
    return [(kind, int(query)) for kind, queries in kinds for query in queries]
