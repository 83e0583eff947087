"""Surgery: importance, plan, cut, rebuild, fuse."""

from keras_cdd.surgery.fuse import fuse
from keras_cdd.surgery.plan import SurgeryPlan
from keras_cdd.surgery.plan_surgery import plan_surgery
from keras_cdd.surgery.rebuild import rebuild
from keras_cdd.surgery.silence import silence

__all__ = ["SurgeryPlan", "fuse", "plan_surgery", "rebuild", "silence"]
