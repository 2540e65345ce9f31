"""From what training gave to what a search may see: the labels of discovery and validation, and no others."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError, OutOfSpaceError
from untrained.evolve.splits import Split, labels_of, split
from untrained.evolve.worlds import Labelled
from untrained.proxies import Network
from untrained.spaces import Space
from untrained.tables import Truth
from untrained.types import Scope


@dataclass(frozen=True, eq=False)
class Field:
    """The labelled networks of one space, in three parts.

    Attributes:
        space: the space.
        truth: where the labels are from.
        scope: what makes two architectures one network.
        parts: which networks are for what; each is named by one architecture.
        discovery: labels that programs are evolved on.
        validation: labels that the champion is chosen on.
        n_trained: architectures that these labels are means over.
        copies: of each held-out network all its architectures that are held out.
    """

    space: Space
    truth: Truth
    scope: Scope
    parts: Split
    discovery: Labelled
    validation: Labelled
    n_trained: int
    copies: Mapping[str, Sequence[str]] = field(repr=False)

    @property
    def labels_digest(self) -> str:
        """A digest of the labels of discovery and validation."""
        found = hashlib.blake2b(digest_size=12)
        for part in (self.discovery, self.validation):
            found.update(np.ascontiguousarray(part.labels).tobytes())
        return found.hexdigest()

    def judging(self, most: int) -> "Field":
        """The same with no more networks held out than so many, the first ones."""
        parts = replace(self.parts, held_out=self.parts.held_out[:most])
        return replace(self, parts=parts, copies={text: self.copies[text] for text in parts.held_out})

    def judged_by(self, truth: Truth) -> Truth:
        """What training gave the held-out networks: of each the mean over its architectures.

        Raises:
            BadInputError: it has a value for fewer than two of them.
        """
        known = _by_arch(truth, self.space, {text for archs in self.copies.values() for text in archs})
        means = {}
        for arch, copies in self.copies.items():
            values = [known[text] for text in copies if text in known]
            if values:
                means[arch] = sum(values) / len(values)
        if len(means) < 2:
            raise BadInputError(
                f"{truth.source} has values for {len(means)} of {len(self.copies)} held-out networks of "
                f"{self.space.name}; judging needs at least 2. Label more networks, or draw fewer for discovery."
            )
        return replace(truth, space=self.space.name, arch=tuple(means), value=np.array([*means.values()]), runs=None)


def labelled_field(
    space: Space,
    truth: Truth,
    n_discovery: int,
    n_validation: int,
    *,
    scope: Scope = Scope.KEY,
    seed: int = 0,
    hold_out: Sequence[str] = (),
    n_held_out: int | None = None,
) -> Field:
    """Split the networks of a truth, and read the labels of discovery and validation.

    The split is made from the architectures that the truth lists, whether they have a value or not; where the shuffle
    comes to a network without a value it goes on to the next. So no value of a held-out network changes anything.
    The label of a network is the mean over its architectures, turned so that higher is better.

    Args:
        space: the space.
        truth: what training gave; architectures that are none of the space are left out.
        n_discovery: networks to evolve on.
        n_validation: networks to choose the champion on.
        scope: what makes two architectures one network.
        seed: of the shuffle.
        hold_out: architectures whose networks are kept for the end; none keeps all that are not drawn.
        n_held_out: how many networks of those not drawn are kept; None is all.

    Raises:
        BadInputError: too few networks, or the truth has no architecture of the space.
        OutOfSpaceError: an architecture to hold out is none of the space.
    """
    if truth.space not in (None, space.name):
        raise BadInputError(f"{truth.source} is of {truth.space}, not {space.name}. Give one --against for each space.")
    if hold_out and n_held_out is not None:
        raise BadInputError("the networks held out are named by --hold-out; --held-out draws some of those left over.")
    kept = list(dict.fromkeys([space.format(space.parse(text)) for text in hold_out]))
    texts = sorted({*_listed(truth, space), *kept})
    if not texts:
        raise BadInputError(f"{truth.source} lists no architecture of {space.name}.")
    key_of = {text: space.canonical(space.parse(text), scope) for text in texts}
    units: dict[str, list[str]] = {}
    for text in texts:
        units.setdefault(key_of[text], []).append(text)
    away = {key_of[text] for text in kept}
    known = _by_arch(truth, space, {text for text in texts if key_of[text] not in away})
    means, n_trained = {}, {}
    for key, archs in units.items():
        values = [known[text] for text in archs if text in known]
        if values:
            means[key], n_trained[key] = (
                (sum(values) / len(values)) * (1 if truth.higher_is_better else -1),
                len(values),
            )
    parts = split(units, n_discovery, n_validation, seed, kept, [key for key in units if key not in means])
    if n_held_out is not None and not 2 <= n_held_out <= len(parts.held_out):
        raise BadInputError(
            f"cannot hold out {n_held_out} networks: {len(parts.held_out)} are left over, and judging needs 2."
        )
    drawn = (*parts.discovery, *parts.validation)
    labels = labels_of(parts, {text: means[key_of[text]] for text in drawn})
    copies = {text: [text] if kept else units[key_of[text]] for text in parts.held_out}
    found = Field(
        space, truth, scope, parts,
        _labelled(space, parts.discovery, labels.discovery), _labelled(space, parts.validation, labels.validation),
        sum([n_trained[key_of[text]] for text in drawn]), copies,
    )  # fmt: skip
    return found if n_held_out is None else found.judging(n_held_out)


def _labelled(space: Space, archs: tuple[str, ...], labels: NDArray[np.float64]) -> Labelled:
    params = [float(Network(space.graph(space.parse(text))).n_params) for text in archs]
    return Labelled(space.name, archs, labels, np.array(params))


def _listed(truth: Truth, space: Space) -> set[str]:
    """Architectures of a truth in the space's own form, with a value or without."""
    found = set()
    for text in truth.arch:
        try:
            found.add(space.format(space.parse(text)))
        except OutOfSpaceError:
            continue  # tables may have more than the space
    return found


def _by_arch(truth: Truth, space: Space, wanted: Collection[str]) -> dict[str, float]:
    """The mean over the rows of each architecture that is wanted and has a value."""
    rows: dict[str, list[float]] = {}
    for text, value in zip(truth.arch, truth.value.tolist(), strict=True):
        if value == value:
            rows.setdefault(text, []).append(value)
    found: dict[str, list[float]] = {}
    for text, values in rows.items():
        try:
            own = space.format(space.parse(text))
        except OutOfSpaceError:
            continue
        if own in wanted:
            found.setdefault(own, []).extend(values)
    return {text: sum(values) / len(values) for text, values in found.items()}
