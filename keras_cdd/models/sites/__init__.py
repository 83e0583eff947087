"""Sites: which channels belong together, in any functional Keras model."""

from keras_cdd.models.sites.find import cut_sites, own_paths, sites
from keras_cdd.models.sites.flow import Flow
from keras_cdd.models.sites.places import Place, place_of
from keras_cdd.models.sites.rules import site_rule
from keras_cdd.models.sites.site import ADDED, GATE, MADE, READ, SCALED, Field, Reading, Site, Slot
from keras_cdd.models.sites.sites import LeftOut, Sites
from keras_cdd.models.sites.walk import Walk, output_name

__all__ = [
    "ADDED",
    "GATE",
    "MADE",
    "READ",
    "SCALED",
    "Field",
    "Flow",
    "LeftOut",
    "Place",
    "Reading",
    "Site",
    "Sites",
    "Slot",
    "Walk",
    "cut_sites",
    "output_name",
    "own_paths",
    "place_of",
    "site_rule",
    "sites",
]
