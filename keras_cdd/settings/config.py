"""Every setting of a run, validated; `flags.py` makes a flag of each field."""

import dataclasses
import pathlib

from keras_cdd.distill import COMPRESSIONS, STRATEGIES
from keras_cdd.distill.gradient_reset import METRICS
from keras_cdd.layers.embedding_head import POOLINGS
from keras_cdd.layers.gated_block import INDICATORS
from keras_cdd.losses import LOSSES, LossWeights
from keras_cdd.models.gated_resnet import BACKBONES, STEMS
from keras_cdd.optimization import OPTIMIZERS, SCHEDULES
from keras_cdd.settings.rules import check_settings
from keras_cdd.surgery.importance import IMPORTANCES


def option(default, text, choices=None):
    """A field with what a flag needs beside its type: help text, and the allowed values or their table."""
    return dataclasses.field(default=default, metadata={"help": text, "choices": choices})


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is learnt and searched."""

    dataset: str = option("synthetic", "Data set or protocol; a wrong name lists the known ones.")
    data_dir: str | None = option(None, "Folder with the data set's original files, unpacked or as zip archives.")
    csv: str | None = option(None, "For --dataset=csv: a file with the columns path,identity,camera,split.")
    download: bool = option(False, "Fetch omniglot or grocery into --data_dir if they are not there.")
    image_size: tuple[int, ...] = option((64, 64), "Height,width in pixels that the networks see.")
    identities_per_batch: int = option(16, "Identities in a batch (P).")
    images_per_identity: int = option(4, "Images of each identity in a batch (K).")
    shift: int = option(4, "Augmentation: largest shift in pixels.")
    rotation: float = option(0.0, "Augmentation: largest rotation in degrees.")
    scale: tuple[float, ...] = option((1.0, 1.0), "Augmentation: smallest,largest factor on the size.")
    flip: bool = option(True, "Augmentation: mirror images, where the data set allows it.")
    erasing: float = option(0.0, "Augmentation: probability of erasing a random rectangle.")
    strict_data: bool = option(False, "Stop at an unreadable image instead of reporting and skipping it.")
    cache_dir: str | None = option(
        "~/.cache/keras_cdd", "Folder for decoded images that do not fit into memory; empty to decode them every epoch."
    )
    cache_gib: float = option(64.0, "How much --cache_dir may hold, in GiB; what was not used for longest goes first.")


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """The architecture of teacher and heavy student."""

    backbone: str = option("resnet50", "Depth and blocks.", BACKBONES)
    width: int = option(64, "Filters of the first stage; 64 is the standard.")
    indicators: str = option("both", "Where channel indicators stand.", INDICATORS[1:])
    stem: str = option("standard", "7x7 stride 2 with max-pool, or 3x3 for small images.", STEMS)
    last_stride: int = option(1, "Stride of the last stage.", (1, 2))
    pooling: str = option("avg", "Average or generalized-mean pooling.", POOLINGS)
    embedding_size: int = option(512, "Length of the embedding.")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How teacher and student are optimized."""

    epochs: int = option(24, "Epochs of the student.")
    teacher_epochs: int = option(24, "Epochs of the teacher.")
    learning_rate: float = option(0.05, "Learning rate after the warm-up.")
    schedule: str = option("cosine", "How the learning rate falls.", SCHEDULES)
    cosine_delay: float = option(0.0, "Epoch at which the student's cosine starts, the warm-up included.")
    teacher_cosine_delay: float = option(0.0, "The same for the teacher.")
    milestones: tuple[int, ...] = option((40, 70), "Epochs at which --schedule=multistep divides the rate by 10.")
    warmup_epochs: float = option(2.0, "Epochs of linear warm-up from a tenth of the rate.")
    optimizer: str = option("sgd", "Momentum SGD with coupled weight decay, Adam or AdamW.", OPTIMIZERS)
    momentum: float = option(0.9, "Of SGD.")
    weight_decay: float = option(5e-4, "Of SGD (coupled) and AdamW.")
    head_learning_rate: float = option(1.5, "Factor on the learning rate of the head, for every optimizer.")
    mixed_precision: bool = option(False, "Compute in float16 with a scaled loss.")
    strategy: str = option("none", "Several devices.", STRATEGIES)
    deterministic: bool = option(False, "Deterministic kernels: a run repeats bit by bit, slower on GPUs.")
    seed: int = option(0, "Of initial weights, batches and augmentation.")


def _distill_fields():
    """A weight of every loss in the table, then the constants of their formulas."""
    for field in dataclasses.fields(LossWeights):
        if field.name in LOSSES:
            yield f"{field.name}_weight", float, option(field.default, LOSSES[field.name].text)
        else:
            known = field.metadata
            yield field.name, type(field.default), option(field.default, known["help"], known["choices"])


DistillConfig = dataclasses.make_dataclass(
    "DistillConfig", _distill_fields(), frozen=True, namespace={"__doc__": "Loss weights and constants."}
)


@dataclasses.dataclass(frozen=True)
class CompressionConfig:
    """What pushes channels down, and the retrieval-guided gradient reset."""

    compression: str = option("none", "Lasso (the paper), proximal shrinkage, or none.", COMPRESSIONS)
    compression_weight: float = option(0.004, "Of the compression loss.")
    gradient_reset_epoch: float = option(-1.0, "Epoch from which the gradient reset works; negative switches it off.")
    reset_ratio: float = option(0.5, "Share of channels called unimportant for one image and neighbour.")
    reset_neighbours: int = option(2, "Neighbours, the image itself included.")
    reset_metric: str = option("cosine", "How neighbours are found.", METRICS)
    reset_every: int = option(1, "The reset takes part in every n-th step.")
    queue_size: int = option(6000, "Images that the teacher's memory holds.")


@dataclasses.dataclass(frozen=True)
class SurgeryConfig:
    """What is cut, and when."""

    target_macs: float | None = option(None, "Budget: fraction of the heavy student's MACs to keep.")
    target_params: float | None = option(None, "Budget: fraction of the heavy student's parameters to keep.")
    importance: str = option("fisher", "What ranks the channels.", IMPORTANCES)
    importance_threshold: float | None = option(None, "Without a budget: cut norms below it, after the last epoch.")
    cut: str = option("filters", "Cut whole filters, or indicator outputs only (the paper).", ("filters", "outputs"))
    num_cuts: int = option(26, "In how many cuts the budget is reached.")
    fade: bool = option(True, "Channels fade out until the next cut is due; else they go at once.")
    cut_start: float | None = option(None, "Epoch at which cutting starts; a tenth of the run by default.")
    cut_end: float | None = option(None, "Epoch at which the last channels are gone; half of the run by default.")
    surgery_every: int = option(0, "Rebuild every n epochs; 0: whenever it saves 15 % of the training step.")
    round_to: int = option(1, "Channel counts become multiples of this, within the budget.")
    pad_channels: int = option(
        8, "Until the run is over, channel counts stay multiples of this with zeros: kernels are fast there."
    )
    bn_reestimate: int = option(0, "Batches for estimating BatchNorm statistics anew after the last epoch.")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Where things come from and go."""

    workdir: str = option("runs/latest", "Folder of the run; a run that is there already is continued.")
    teacher: str | None = option(None, "A teacher.keras; without it a teacher is trained first.")
    pretrained: str | None = option(
        None, "Initial weights under the names of torchvision, timm or the authors: .safetensors, .pth or .npz."
    )
    student: str = option("cdd", "Shrinks, is small from the start, or stays heavy.", ("cdd", "static", "heavy"))
    student_init: str = option("teacher", "Where the student starts.", ("random", "pretrained", "teacher"))
    kept_filters: str | None = option(
        None, "For --student=static: a student.keras whose widths to take, or channels a site separated by commas."
    )
    resume: bool = option(True, "Continue the run that the workdir holds.")
    eval_every: int = option(0, "Evaluate the student every n epochs; 0: only at the end.")
    eval_cuts: bool = option(False, "Evaluate the student when a cut starts and when its channels are gone.")
    evaluate_teacher: bool = option(True, "Evaluate the teacher too.")


SECTIONS = {
    "data": DataConfig,
    "network": NetworkConfig,
    "training": TrainingConfig,
    "distill": DistillConfig,
    "compression": CompressionConfig,
    "surgery": SurgeryConfig,
    "run": RunConfig,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """All sections of a run.

    Raises:
        UserError: naming the flag, the rule and what was received.
    """

    data: DataConfig = DataConfig()
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    distill: DistillConfig = DistillConfig()  # type: ignore[valid-type]
    compression: CompressionConfig = CompressionConfig()
    surgery: SurgeryConfig = SurgeryConfig()
    run: RunConfig = RunConfig()

    def __post_init__(self):
        check_settings(self)

    @property
    def has_budget(self):
        return self.surgery.target_macs is not None or self.surgery.target_params is not None

    @property
    def cut_start(self):
        """Epoch at which cutting starts."""
        return 0.1 * self.training.epochs if self.surgery.cut_start is None else self.surgery.cut_start

    @property
    def cut_end(self):
        """Epoch of the last cut."""
        return 0.5 * self.training.epochs if self.surgery.cut_end is None else self.surgery.cut_end

    @property
    def named_paths(self):
        """The files and folders, `pathlib.Path`s, that the settings name and that are there, the workdir excepted."""
        values = {value for section in SECTIONS for value in dataclasses.asdict(getattr(self, section)).values()}
        paths = [pathlib.Path(value) for value in values - {self.run.workdir} if isinstance(value, str) and value]
        return [path for path in paths if path.exists()]
