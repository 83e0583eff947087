"""How the channels of a site run through the tensors of a graph."""

import dataclasses
from collections.abc import Iterable, Mapping

from keras_cdd.annotations import Tensor
from keras_cdd.models.call import Call
from keras_cdd.models.sites.site import ABSORBS, MADE, READ, WAKES

Edge = tuple[int, int]  # (id of a call, id of a tensor that it takes)


@dataclasses.dataclass(frozen=True)
class Flow:
    """The tensors and calls that the channels of one site run through.

    Attributes:
        calls: that take or give channels of the site, in order.
        orders: id of a tensor with channels of the site -> ranks of the channels, if it has all of them, each once, and
            no others; else None.
        acts: see `Walk`.
        factor_makers: ids of the calls that make nothing but factors for what others make.
    """

    calls: list[Call]
    orders: dict[int, tuple[int, ...] | None]
    acts: Mapping[int, set[str]]
    factor_makers: set[int]

    def carried(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        """Those of some tensors that have channels of the site."""
        return [x for x in tensors if id(x) in self.orders]

    def does(self, call: Call, act: str) -> bool:
        return act in self.acts.get(id(call), ())

    @property
    def makers(self) -> list[Call]:
        """The calls that make the channels; those that make factors for them only where there are no others."""
        making = [call for call in self.calls if self.does(call, MADE) and self.carried(call.outputs)]
        return [call for call in making if id(call) not in self.factor_makers] or making

    @property
    def readers(self) -> list[Call]:
        return [call for call in self.calls if self.does(call, READ) and self.carried(call.inputs)]

    def zeros_reach_readers(self, tensors: Iterable[Tensor]) -> bool:
        """Whether all that reads the site's channels reads zeros where these tensors are zero."""
        zero = {id(x) for x in tensors}
        for call in self.calls:
            inputs = [id(x) in zero for x in self.carried(call.inputs)]
            if not inputs:
                continue
            if self.does(call, READ) and not all(inputs):
                return False
            stays = all(inputs) or (self.does(call, ABSORBS) and any(inputs))
            if stays and not self.does(call, MADE) and not self.does(call, WAKES):
                zero |= {id(x) for x in self.carried(call.outputs)}
        return True
