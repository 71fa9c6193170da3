"""Real engines' pages whose counters go on at known rates, for as long as somebody scrapes them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.cluster.exposition import samples_of

_SAMPLE = re.compile(r"^(\S+?)(\{.*\})? (\S+)$")


@dataclass
class MovingPage:
    """A page of an engine; a name, or a name with the beginning of its value's labels, says which samples move."""

    text: str
    rates_per_s: Mapping[str, float] = field(default_factory=dict)
    """Growth of samples that hold the text, from what the page says on."""
    gauges: Mapping[str, float] = field(default_factory=dict)
    """Values of samples that hold the text, in place of the page's."""
    began_s: float = field(default_factory=time.time)
    restarts_at_s: float | None = None
    """Seconds after the beginning when all counters begin anew."""
    dated_s: float | None = None
    """How old each sample says that it is."""
    rename: Callable[[str], str] = lambda line: line

    def __call__(self) -> str:
        """The page now."""
        now_s = time.time()
        date = "" if self.dated_s is None else f" {round(1000.0 * (now_s - self.dated_s))}"
        return "".join(f"{self._moved(line, now_s - self.began_s)}{date}\n" for line in samples_of(self.text))

    def _moved(self, line: str, since_s: float) -> str:
        match = _SAMPLE.match(line)
        assert match is not None
        name, labels, value = match[1], match[2] or "", float(match[3])
        restarted = self.restarts_at_s is not None and since_s > self.restarts_at_s
        if restarted and not name.startswith(("vllm:num_requests", "vllm:kv")):
            value, since_s = 0.0, since_s - (self.restarts_at_s or 0.0)
        rate = next((rate for text, rate in self.rates_per_s.items() if text in name + labels), 0.0)
        value = next((value for text, value in self.gauges.items() if text in name + labels), value + rate * since_s)
        return self.rename(f"{name}{labels} {value}")
