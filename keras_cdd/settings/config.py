"""All settings of a run, validated."""

import dataclasses
import pathlib

from keras_cdd.settings.rules import check_settings
from keras_cdd.settings.sections import (
    CompressionConfig,
    DataConfig,
    DistillConfig,
    NetworkConfig,
    RunConfig,
    SurgeryConfig,
    TrainingConfig,
)

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
    """All sections of a run's settings.

    Raises:
        UserError: if a value is invalid; the message states the flag, the rule and the value.
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
    def head(self):
        """`--head`, or what it stands for if it is not given."""
        return self.network.head or ("neck" if self.run.pretrained is None else "linear")

    @property
    def gated_indicator(self):
        """Kind of the indicators in gated blocks: what `--indicator` gives, or what it stands for."""
        if self.network.indicator != "none":
            return self.network.indicator
        acted_on = self.compression.compression != "none" or self.compression.gradient_reset_epoch >= 0
        ranked = self.surgery.importance != "fisher" or self.surgery.importance_threshold is not None
        return "dense" if acted_on or ranked or self.surgery.cut == "outputs" else "diagonal"

    @property
    def needs_labels(self):
        """Whether training reads identities; only a run with `--teacher_embeddings` can do without."""
        weights = (self.distill.identity_weight, self.distill.triplet_weight)
        return self.run.teacher_embeddings is None or any(weights)

    @property
    def budget(self):
        """`(measure, value)` of the budget, "macs" or "params" with a fraction or "ms" with milliseconds; or None."""
        given = [(name, getattr(self.surgery, f"target_{name}")) for name in ("macs", "params", "ms")]
        return next(((name, value) for name, value in given if value is not None), None)

    @property
    def has_budget(self):
        return self.budget is not None

    @property
    def cut_start(self):
        """Epoch at which cutting starts."""
        return 0.1 * self.training.epochs if self.surgery.cut_start is None else self.surgery.cut_start

    @property
    def cut_end(self):
        """Epoch at which the last cut ends."""
        return 0.5 * self.training.epochs if self.surgery.cut_end is None else self.surgery.cut_end

    @property
    def named_paths(self):
        """List of `pathlib.Path`: existing files and folders that the settings name, except the workdir."""
        values = {value for section in SECTIONS for value in dataclasses.asdict(getattr(self, section)).values()}
        paths = [pathlib.Path(value) for value in values - {self.run.workdir} if isinstance(value, str) and value]
        return [path for path in paths if path.exists()]
