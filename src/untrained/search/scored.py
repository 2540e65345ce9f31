"""Proxies as quantities: through the engine, in processes, and kept in a run folder where there are many."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from untrained.engine import ScoreTable, plan, run
from untrained.engine.aggregate import Aggregate
from untrained.errors import BadInputError
from untrained.search.objectives import Known, Quantity
from untrained.spaces import Space
from untrained.types import Arch, Batch, Outcome, Progress, Scope, Task

_FEW = 16  # so few are scored in this process, and kept with the search alone


class Proxied(Quantity):
    """A proxy of a space, scored as `engine.score` does."""

    def __init__(
        self,
        space: Space,
        proxy: str,
        *,
        task: Task | None = None,
        batch: str | Batch | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        out: Path | None = None,
    ) -> None:
        """One proxy, by its text; the other arguments are those of `engine.score`.

        Raises:
            UntrainedError: no such proxy or batch, several proxies, or an aggregate, which only ranks whole pools.
        """
        probe = plan(space, proxy, archs=space.sample(np.random.default_rng(0), 1), task=task, batch=batch,
                     batch_size=batch_size)  # fmt: skip
        if len(probe.asked) != 1:
            raise BadInputError(f"expected one proxy, got {len(probe.asked)}: {proxy}.")
        asked = probe.asked[0]
        if isinstance(asked, Aggregate):
            raise BadInputError(
                f"{asked.text} ranks networks among others, so it has no score of one alone. Score the space first, "
                f'`untrained score {space.name} --proxies "{proxy}" --out RUN`, and give that run: --scores RUN.'
            )
        self._space, self._asked, self._task, self._batch = probe.space, asked, probe.task, probe.batch
        self._protocol, self._workers, self._out = probe.protocol, workers, out
        self._heavy = asked.proxy.needs_weights
        self.text, self.higher_is_better = asked.text, asked.higher_is_better
        self.scope: Scope = Scope.CODE if space.own_weights and self._heavy else asked.scope

    @property
    def protocol(self) -> dict[str, Any]:
        """With all that may change a score."""
        return {**super().protocol, "scores": self._protocol}

    def measure(self, arch: Arch) -> Outcome:
        """The score of one architecture."""
        return next(iter(self.measure_all([arch])))

    def measure_all(self, archs: Sequence[Arch]) -> Iterable[Outcome]:
        """The scores of several."""
        if not archs:
            return []
        many = self._heavy or len(archs) > _FEW
        table = self._run(archs, self._workers if many else 1, self._out if many else None)
        return [Outcome(score.value, score.status, score.detail) for score in table]

    def whole_space(self, progress: Progress | None = None) -> Known:
        """The scores of every architecture of a space that can be listed."""
        table = self._run(None, self._workers, self._out, progress)
        values = {score.arch: np.nan if score.value is None else score.value for score in table}
        return _Looked(self.text, values, self.higher_is_better, self.protocol)

    def _run(
        self, archs: Sequence[Arch] | None, workers: int | None, out: Path | None, progress: Progress | None = None
    ) -> ScoreTable:
        wanted = plan(self._space, [self._asked], archs=archs, task=self._task, batch=self._batch)
        return run(wanted, workers=workers, out=out, progress=progress)


class _Looked(Known):
    """Scores of a whole space, that say of themselves what the proxy does."""

    def __init__(
        self, text: str, values: Mapping[Arch, float], higher_is_better: bool, protocol: Mapping[str, Any]
    ) -> None:
        super().__init__(text, values, higher_is_better=higher_is_better)
        self._protocol = protocol

    @property
    def protocol(self) -> dict[str, Any]:
        return dict(self._protocol)
