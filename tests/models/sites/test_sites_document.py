"""The Python of docs/sites.md runs, in order."""

import pathlib
import re

import keras
import pytest

from keras_cdd.models.sites import rules

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "docs" / "sites.md"


class MyScale(keras.layers.Layer):
    """The layer of the document's last example."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, x):
        return x * self.factor


@pytest.mark.slow
def test_the_document_runs(monkeypatch, capsys):
    monkeypatch.setattr(rules, "_RULES", dict(rules._RULES))
    names = {"MyScale": MyScale, "optimizer": keras.optimizers.Adam()}
    snippets = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    for snippet in snippets:
        exec(snippet, names)
    printed = capsys.readouterr().out
    assert len(snippets) == 4 and "expanded_conv_project" in printed and "diagonal" in printed
    assert names["deploy"].count_params() < names["heavy"].count_params()
    assert names["slim"].count_params() < names["model"].count_params()
    assert rules._RULES[MyScale] is names["my_scale"]
