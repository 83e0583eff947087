"""The sections of a run's settings; `flags.py` makes a flag of each field."""

import dataclasses

from keras_cdd.distill import COMPRESSIONS, STRATEGIES
from keras_cdd.distill.embedding_queue import QUEUE_DTYPES
from keras_cdd.distill.gradient_reset import METRICS
from keras_cdd.layers.embedding_head import HEADS, POOLINGS
from keras_cdd.layers.gated_block import INDICATORS
from keras_cdd.layers.indicator_kinds import INDICATOR_KINDS
from keras_cdd.losses import LOSSES, LossWeights
from keras_cdd.models.backbones import ALL_BACKBONES
from keras_cdd.models.gated_resnet import STEMS
from keras_cdd.models.layer_shapes import LAYER_PRECISIONS
from keras_cdd.optimization import OPTIMIZERS, SCHEDULES
from keras_cdd.optimization.precision import PRECISIONS
from keras_cdd.settings.option import option
from keras_cdd.surgery.importance import IMPORTANCES

DEFAULT_BACKBONE = "resnet50"
ONLY_RESNETS = "Only for backbones of gated blocks (resnet18 to resnet152)."


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Data set, batches and augmentation."""

    dataset: str = option("synthetic", "Data set or protocol; a wrong name lists the known ones.")
    data_dir: str | None = option(None, "Folder with the data set's original files, unpacked or as zip archives.")
    csv: str | None = option(None, "For --dataset=csv: a file with the columns path,identity,camera,split.")
    download: bool = option(False, "Download omniglot or grocery to --data_dir if it is missing.")
    image_size: tuple[int, ...] = option((64, 64), "Height,width of the networks' input in pixels.")
    identities_per_batch: int = option(16, "Identities in a batch (P).")
    images_per_identity: int = option(4, "Images of each identity in a batch (K).")
    shift: int = option(4, "Augmentation: largest shift in pixels.")
    rotation: float = option(0.0, "Augmentation: largest rotation in degrees.")
    scale: tuple[float, ...] = option((1.0, 1.0), "Augmentation: smallest,largest factor on the size.")
    flip: bool = option(True, "Augmentation: mirror half of the images, if the data set allows it.")
    erasing: float = option(0.0, "Augmentation: probability of erasing a random rectangle.")
    random_crop: float = option(
        1.0, "Augmentation: smallest area, as a fraction, of a random rectangle that is enlarged to the image; 1: off."
    )
    brightness: float = option(0.0, "Augmentation: largest change of the brightness, as a fraction.")
    contrast: float = option(0.0, "Augmentation: largest change of the contrast, as a fraction.")
    saturation: float = option(0.0, "Augmentation: largest change of the saturation, as a fraction.")
    hue: float = option(0.0, "Augmentation: largest turn of the hue; 0.5 is half of the colour circle.")
    augment_on_device: bool = option(
        False, "Send uint8 images to the device that trains and change them there, by what the processor has drawn."
    )
    strict_data: bool = option(False, "Stop at an unreadable image instead of reporting and skipping it.")
    cache_dir: str | None = option(
        "~/.cache/keras_cdd", "Folder for decoded images that do not fit into memory; empty to decode them every epoch."
    )
    cache_gib: float = option(64.0, "Largest size of --cache_dir in GiB; the least recently used images go first.")


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """The architecture of the teacher and the heavy student."""

    backbone: str | None = option(
        None,
        "Network of teacher and student; of the student alone if --teacher is given. Default: the --student_model's, "
        f"the --teacher's, or {DEFAULT_BACKBONE}.",
        ALL_BACKBONES,
    )
    width: int = option(64, f"Filters of the first stage; 64 is the standard. {ONLY_RESNETS}")
    indicators: str = option("both", f"Convolutions of a block with channel indicators. {ONLY_RESNETS}", INDICATORS[1:])
    indicator: str = option(
        "none",
        "Indicators at every site of a student: dense 1x1 convolutions, or a factor a channel, which takes less time. "
        "Default (none): no indicators between stock layers, so no --compression and no gradient reset there; in gated "
        "blocks those that the student starts with, else a factor a channel, or dense ones where --compression, the "
        "gradient reset, another --importance than fisher, --importance_threshold or --cut=outputs works on them.",
        ("none", *INDICATOR_KINDS),
    )
    stem: str = option("standard", f"7x7 stride 2 with max-pooling, or 3x3 for small images. {ONLY_RESNETS}", STEMS)
    last_stride: int = option(1, f"Stride of the last stage. {ONLY_RESNETS}", (1, 2))
    pooling: str = option("avg", "Average or generalized-mean pooling of a backbone's feature map.", POOLINGS)
    head: str | None = option(
        None,
        "From pooled features to the embedding: the paper's BatchNorm neck, no layer (--embedding_size is unused), or "
        "a linear projection, which starts as a PCA of the features if the backbone has given weights. Default: linear "
        "with --pretrained, else neck.",
        HEADS,
    )
    embedding_size: int = option(512, "Length of the embedding that follows a backbone.")

    @property
    def any_backbone(self):
        """`backbone`, or what it stands for if nothing else gives the network."""
        return self.backbone or DEFAULT_BACKBONE


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Optimization of the teacher and the student."""

    epochs: int = option(24, "Epochs of the student.")
    teacher_epochs: int = option(24, "Epochs of the teacher.")
    learning_rate: float = option(0.05, "Learning rate after the warm-up.")
    teacher_learning_rate: float = option(
        0.0, "The same of the teacher; a student that is its copy starts nearer to its goal. 0: --learning_rate."
    )
    schedule: str = option("cosine", "Learning rate schedule.", SCHEDULES)
    cosine_delay: float = option(0.0, "Epoch at which the student's cosine starts, counted with the warm-up.")
    teacher_cosine_delay: float = option(0.0, "Epoch at which the teacher's cosine starts.")
    milestones: tuple[int, ...] = option((40, 70), "Epochs at which --schedule=multistep divides the rate by 10.")
    warmup_epochs: float = option(2.0, "Epochs of linear warm-up from a tenth of the rate.")
    optimizer: str = option("sgd", "Momentum SGD with coupled weight decay, Adam or AdamW.", OPTIMIZERS)
    momentum: float = option(0.9, "Momentum of SGD.")
    weight_decay: float = option(5e-4, "Weight decay of SGD (coupled) and AdamW.")
    head_learning_rate: float = option(
        1.5, "Factor on the learning rate of the head, except for a linear projection, for every optimizer."
    )
    backbone_learning_rate: float = option(
        1.0, "Factor on the learning rate of all other layers; pretrained weights want less than 1."
    )
    freeze_epochs: int = option(
        0, "First epochs of the student in which only the head learns; for a student that starts with a new head."
    )
    teacher_freeze_epochs: int = option(0, "First epochs of the teacher in which only the head learns.")
    freeze_bn: bool = option(
        False, "BatchNorms before the head keep the statistics that they start with; scales and offsets learn."
    )
    gradient_clip: float = option(0.0, "Largest norm of all gradients of a step together, on each device; 0: any.")
    ema: float = option(
        0.0,
        "Decay of a moving average of the weights, such as 0.999, which becomes the trained network, with BatchNorm "
        "statistics estimated anew; 0: none.",
    )
    mixed_precision: str = option(
        "none",
        "Compute in half precision; float16 with a scaled loss. Without a value, as in earlier releases: float16.",
        PRECISIONS,
        switch=("none", "float16"),
    )
    jit_compile: bool = option(False, "Compile the training step with XLA, anew after every surgery; for GPUs.")
    strategy: str = option(
        "none",
        "Training on all GPUs of this machine (mirrored), or in several processes that find one another by TF_CONFIG, "
        "Slurm or Kubernetes.",
        STRATEGIES,
    )
    deterministic: bool = option(False, "Deterministic kernels: runs repeat bit by bit, but are slower on GPUs.")
    seed: int = option(0, "Seed of initial weights, batches and augmentation.")

    def __post_init__(self):
        if isinstance(self.mixed_precision, bool):
            object.__setattr__(self, "mixed_precision", ("none", "float16")[self.mixed_precision])


def _distill_fields():
    """The fields of `DistillConfig`: a weight for every loss in the table, and the constants of their formulas."""
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
    """Compression of the indicators, and the retrieval-guided gradient reset."""

    compression: str = option("none", "Lasso (the paper), proximal shrinkage, or none.", COMPRESSIONS)
    compression_weight: float = option(0.004, "Weight of the compression loss.")
    gradient_reset_epoch: float = option(-1.0, "Epoch at which the gradient reset starts; negative: no reset.")
    reset_ratio: float = option(0.5, "Fraction of channels called unimportant for one image and neighbour.")
    reset_neighbours: int = option(2, "Number of neighbours, including the image itself.")
    reset_metric: str = option("cosine", "Metric of the neighbour search.", METRICS)
    reset_every: int = option(1, "Update the gradient masks and the queue every n steps.")
    queue_size: int = option(6000, "Number of images in the teacher's embedding queue.")
    queue_dtype: str = option("float32", "Of the queue; float16 takes half of its memory.", QUEUE_DTYPES)


@dataclasses.dataclass(frozen=True)
class SurgeryConfig:
    """Budget, importance and schedule of the cuts."""

    target_macs: float | None = option(None, "Budget: fraction of the heavy student's MACs to keep.")
    target_params: float | None = option(None, "Budget: fraction of the heavy student's parameters to keep.")
    target_ms: float | None = option(
        None, "Budget: milliseconds of the deployed student's layers in LiteRT, as measured on one thread here."
    )
    target_ms_precision: str = option("int8", "Precision of the layers that --target_ms measures.", LAYER_PRECISIONS)
    importance: str = option("fisher", "Importance score that ranks the channels.", IMPORTANCES)
    importance_threshold: float | None = option(
        None, "Without a budget: after the last epoch, remove channels whose norm is below this."
    )
    residual: bool = option(
        False, "Also cut the outer widths of residual networks: channels that are added leave all blocks of a stage."
    )
    cut: str = option("filters", "Cut whole filters, or indicator outputs only (the paper).", ("filters", "outputs"))
    num_cuts: int = option(26, "Number of cuts in which the budget is reached.")
    fade: bool = option(True, "Fade out the channels of a cut until the next cut; otherwise remove them at once.")
    cut_start: float | None = option(None, "Epoch at which cutting starts. Default: a tenth of --epochs.")
    cut_end: float | None = option(None, "Epoch at which the last channels are removed. Default: half of --epochs.")
    surgery_every: int = option(0, "Rebuild every n epochs; 0: whenever it saves 15 % of the training step.")
    round_to: int = option(1, "Final channel counts are multiples of this, within the budget.")
    pad_channels: int = option(
        8, "During training, pad channel counts with zeros to multiples of this, for which kernels are fast."
    )
    bn_reestimate: int = option(0, "Batches to re-estimate BatchNorm statistics with after the last epoch; 0: none.")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Files of the run, kind of student and evaluation."""

    workdir: str = option("runs/latest", "Folder of the run; an existing run in it is resumed.")
    teacher: str | None = option(
        None, "Path of a teacher.keras, or of any model with an `embedding`; without it, a teacher is trained first."
    )
    teacher_embeddings: str | None = option(
        None,
        "In place of a teacher: any model's embeddings of the training images, .npz or .parquet of path and embedding.",
    )
    teacher_cache_views: int = option(
        0,
        "The student learns from this many views of each image, for which the teacher computes once: in --cache_dir, "
        "for all runs with this teacher and augmentation. 0: another view, and the teacher, in every step.",
    )
    student_model: str | None = option(
        None, "The student's network: a .keras file of a functional model with an `embedding`, or of a backbone."
    )
    pretrained: str | None = option(
        None,
        "Initial weights of --backbone: imagenet, or a file (.safetensors, .pth, .npz, .keras) under the names of "
        "torchvision, timm, the authors or the network itself.",
    )
    student: str = option(
        "cdd", "The student shrinks, is small from the start, or stays heavy.", ("cdd", "static", "heavy")
    )
    student_init: str = option(
        "teacher",
        "Initial weights of the student. One of another architecture than the teacher starts with those of "
        "--student_model or --pretrained, not with the teacher's.",
        ("random", "pretrained", "teacher"),
    )
    kept_filters: str | None = option(
        None, "For --student=static: a student.keras whose channels to keep, or channels per site, comma-separated."
    )
    resume: bool = option(True, "Resume the run in the workdir; --noresume removes its files and starts again.")
    eval_every: int = option(0, "Evaluate the student every n epochs; 0: only at the end.")
    eval_cuts: bool = option(False, "Evaluate the student when a cut starts and when its channels are removed.")
    evaluate_teacher: bool = option(True, "Evaluate the teacher too.")
