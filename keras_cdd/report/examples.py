"""Example queries for the report: rankings of student and teacher for the best, worst and some random queries."""

import base64
import collections
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
    """Collects the rankings and pictures of a finished run.

    Args:
        evaluator: `Evaluator` of the run's protocol.
        embeddings: "student" and, if it was evaluated, "teacher" -> embeddings of query (queries, D) and gallery
            (gallery, D).
        precisions: the same keys -> average precisions (queries,), NaN where a query is not valid.
        count: number of queries of each kind (best, worst, random). Default: 3.
    """

    def __init__(self, evaluator, embeddings, precisions, count=3):
        self.query, self.gallery = evaluator.query.records, evaluator.gallery.records
        self.store, self.name_of = evaluator.query, evaluator.dataset.name_of
        self.precisions = precisions
        self.embeddings = {who: tuple(map(unit_length, sides)) for who, sides in embeddings.items()}
        self.chosen = _choose(precisions["student"], [record.identity for record in self.query], count)
        self.pictures, self._places = [], {}

    def collect(self, networks):
        """The content of `examples.json`: pictures as data URLs, everything else refers to them by their index.

        Args:
            networks: "student" and "teacher" -> Keras model, for the activation maps.

        Returns:
            Dict of `gallery` (number of images), `rankings`, `activations` and `pictures`.
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
        """Yields (kind, picture) for every ranking: uint8 (H, W, 3), the student's row above the teacher's."""
        for kind, query in self.chosen:
            record = self.query[query]
            asked = RankedPhoto(self._image(record), (self.name_of(record.identity),))
            rows = []
            for who in self.embeddings:
                found = [
                    RankedPhoto(self._image(result), (f"{similarity:.3f}", self.name_of(result.identity)), match)
                    for result, similarity, match in self._results(who, query)
                ]
                title = f"{kind}: {who}, AP {100 * self.precisions[who][query]:.1f} %"
                rows.append(np.asarray(ranking_strip(asked, found, title)))
            yield kind, np.concatenate(rows)

    def _ranking(self, kind, query):
        record = self.query[query]
        ranking = {
            "kind": kind,
            "query": self._photo(record, f"query: {self.name_of(record.identity)}"),
            "average_precision": {who: round(100 * float(ap[query]), 3) for who, ap in self.precisions.items()},
        }
        for who in self.embeddings:
            ranking[who] = []
            for number, (found, similarity, match) in enumerate(self._results(who, query), start=1):
                words = f"{who}'s result {number}: {self.name_of(found.identity)}, {'right' if match else 'wrong'}"
                extra = {"similarity": round(similarity, 4), "match": match}
                ranking[who].append(self._photo(found, f"{words}, similarity {similarity:.3f}") | extra)
        return ranking

    def _results(self, who, query):
        """The first `TOP` gallery images without junk: (record, similarity, match)."""
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
            name = self.name_of(self.query[query].identity)
            entries = [
                {
                    "who": who,
                    "block": block_name(block),
                    "words": f"where {block} of the {who} responds to {name}",
                    "picture": self._add(pictures[number]),
                }
                for who in networks
                for block, pictures in maps[who].items()
            ]
            shown.append({"image": self._photo(self.query[query], f"query: {name}"), "maps": entries})
        return shown

    def _photo(self, record, words):
        if record.path not in self._places:
            self._places[record.path] = self._add(self._image(record))
        labels = {"identity": str(record.identity), "name": self.name_of(record.identity)}
        return {"picture": self._places[record.path], "words": words} | labels

    def _image(self, record):
        """The original photo, not the network's input; uint8 (H, W, 3) of at most 128 pixels a side."""
        image = Image.fromarray(read_image(record.path))
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        return np.asarray(image)

    def _add(self, image):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=85)
        self.pictures.append("data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode())
        return len(self.pictures) - 1


def _choose(precisions, identities, count):
    """(kind, query) pairs of distinct queries: best and worst by average precision, and random ones of the rest.

    The queries of a kind are of different identities, as far as there are enough.
    """
    valid = np.flatnonzero(np.isfinite(precisions))
    random = np.random.default_rng(0)
    valid = random.permutation(valid)  # So that ties are in random order.
    order = valid[np.argsort(-precisions[valid], kind="stable")].tolist()
    count = min(count, max(1, len(order) // 3))
    chosen = []
    for kind in ("best", "worst", "random"):
        taken = {query for _, query in chosen}
        rest = [query for query in order if query not in taken]
        turned = {"best": rest, "worst": rest[::-1], "random": random.permutation(rest).tolist()}[kind]
        chosen += [(kind, int(query)) for query in _different(turned, identities)[:count]]
    return chosen


def _different(queries, identities):
    """The queries with the first one of every identity in front, the second ones next, and so on."""
    turns, seen = [], collections.Counter()
    for query in queries:
        turns.append(seen[identities[query]])
        seen[identities[query]] += 1
    return [queries[place] for place in np.argsort(turns, kind="stable")]
