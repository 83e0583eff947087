"""Gives a parser the bytes that atheris (libFuzzer) leads to new branches of it: `... READER COUNT RUNS`.

It starts with whole files, and keeps what reaches code that nothing reached before. Prints what `fuzzing` prints, and
how many inputs it `kept`. An input at which the parser fails is left in TMPDIR.
"""

import json
import os
import pathlib
import sys
import tempfile

import atheris

# What is loaded already is not watched.
assert "keras_cdd" not in sys.modules
with atheris.instrument_imports(include=["keras_cdd", "export"]):
    from tests.reliability import fuzzing

# By reader, the whole files to start with, in its folder.
WHOLE = {
    "flagfiles": "*.flags",
    "CSV lists": "photos.csv",
    "archives": "tree/all.zip",
    "manifests": "pair/manifest.json",
    "galleries": "gallery.sqlite",
    "weight files": "w.pt",
}


def fuzz(reader, count, runs):
    """Does not return: libFuzzer ends the process."""
    with fuzzing.reading(reader, runs) as (_, tries):
        whole = [path.read_bytes() for path in sorted(pathlib.Path().glob(WHOLE[reader]))]
        corpus = pathlib.Path("corpus")
        corpus.mkdir()
        for number, content in enumerate(whole):
            (corpus / str(number)).write_bytes(content)

        def once(content):
            tries.once(content)
            if tries.counts["tried"] == count:
                kept = len(list(corpus.iterdir())) - len(whole)
                print(json.dumps(tries.found() | {"kept": kept}), flush=True)
                os._exit(0)

        longest = 2 * max(map(len, whole))
        failed = f"-artifact_prefix={tempfile.gettempdir()}/"
        atheris.Setup([sys.argv[0], "-seed=1", f"-max_len={longest}", "-rss_limit_mb=4096", failed, str(corpus)], once)
        atheris.Fuzz()


if __name__ == "__main__":
    fuzz(sys.argv[1], int(sys.argv[2]), sys.argv[3])
