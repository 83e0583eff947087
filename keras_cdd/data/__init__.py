"""Images, data sets and samplers; only `pipeline`, `augment` and `training_data` need TensorFlow."""

from keras_cdd.data.datasets.csv_list import write_csv
from keras_cdd.data.datasets.synthetic import write_synthetic
from keras_cdd.data.image import load_image, read_image, resize
from keras_cdd.data.image_store import ImageStore
from keras_cdd.data.pk_sampler import PKSampler
from keras_cdd.data.records import ImageRecord, RetrievalDataset
from keras_cdd.data.registry import DATASETS, load_dataset

__all__ = [
    "DATASETS",
    "ImageRecord",
    "ImageStore",
    "PKSampler",
    "RetrievalDataset",
    "load_dataset",
    "load_image",
    "read_image",
    "resize",
    "write_csv",
    "write_synthetic",
]
