"""The cut of a static student: to given widths, before it is trained."""

import json
import pathlib

import keras
import numpy as np

from keras_cdd.errors import UserError
from keras_cdd.models import cost_model
from keras_cdd.models.sites import cut_sites
from keras_cdd.run_folder import layout
from keras_cdd.run_folder.reading import load_model
from keras_cdd.surgery import rebuild
from keras_cdd.surgery.channels import Channels
from keras_cdd.surgery.plan import make_plan


class StaticCut:
    """Cuts the heavy student to given widths at once, and knows afterwards which of its channels are left.

    Args:
        heavy: functional model, gated or not.
        kept: path of a `student.keras` of a run, whose kept channels are used; or numbers of channels separated by
            commas, one per site.
        residual: whether outer widths are sites, too. Default: False.

    Attributes:
        kept_channels: site without an indicator, which would know them -> list of the indices of its channels in the
            heavy model.

    Raises:
        UserError: if `kept` does not fit the model's sites, or its file cannot be loaded.
    """

    def __init__(self, heavy, kept, residual=False):
        self._residual = residual
        found = cut_sites(heavy, residual)
        channels = _kept_by_run(found, kept, residual) if kept.endswith(".keras") else _first_ones(found, kept)
        cut, kernels = {}, Channels(heavy, found).dense_kernels()
        for name, site in found.items():
            if not 1 <= len(channels[name]) <= site.channels:
                raise UserError(f"--kept_filters takes 1 to {site.channels} channels at {name}. Received: {kept}")
            cut[name] = np.asarray(channels[name])
            if name in kernels:
                # Removes whole filters: the plan removes a filter only if its row in the indicator is zero.
                kernels[name] = kernels[name] * np.isin(np.arange(len(kernels[name])), cut[name])[:, None]
        importance = {name: np.ones(site.channels) for name, site in found.items()}
        self._plan = make_plan(cost_model(heavy, sites=found), kernels, cut, importance, residual=residual)
        self._full_widths = {name: site.channels for name, site in found.items() if site.indicator is None}
        self.kept_channels = {name: self._plan.cuts[name].outputs.tolist() for name in self._full_widths}

    def applied(self, heavy, random=False):
        """The slim model.

        Args:
            heavy: the model that the cut was made for; stays untouched.
            random: if True, the weights are newly initialised instead of taken from the heavy model. Default: False.
        """
        slim = rebuild(heavy, self._plan)
        return keras.models.clone_model(slim) if random else slim

    def sites(self, slim):
        """The `Sites` of the slim model, with the widths of the heavy model."""
        return cut_sites(slim, self._residual).with_full_widths(self._full_widths)

    def record(self):
        """The costs of the heavy student and the kept channels, a dict as that of `Surgeon.record`."""
        heavy = {"macs": self._plan.full_macs, "num_params": self._plan.full_params}
        return {"heavy": heavy, "kept_channels": self.kept_channels}


def _kept_by_run(found, path, residual):
    """Site -> channels of the uncut network that a run kept: its indicators know them, else its `channels.json`."""
    other = cut_sites(load_model(path, "--kept_filters", "give a student.keras of a run"), residual)
    beside = pathlib.Path(path).with_name(layout.CHANNELS)
    known = json.loads(beside.read_text())["kept_channels"] if beside.exists() else {}
    known = {name: known[name] for name in known.keys() & other.keys()}
    known |= {name: other.indicator(name).output_channels for name in other.kernels()}
    if known.keys() != found.keys():
        raise UserError(
            f"--kept_filters={path} holds a network with other sites or indicators; use the settings of its run."
        )
    return known


def _first_ones(found, kept):
    counts = [int(count) if count.strip().isdecimal() else 0 for count in kept.split(",")]
    if len(counts) != len(found):
        raise UserError(f"--kept_filters needs {len(found)} numbers, a site each. Received: {len(counts)}")
    return {name: range(count) for name, count in zip(found, counts, strict=True)}
