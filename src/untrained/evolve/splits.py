"""Which networks a search may learn from, which choose its champion, and which it never sees."""

import hashlib
import itertools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError
from untrained.seeds import seed_for

_FEWEST = 2  # networks of a part: fewer have no rank correlation


@dataclass(frozen=True, slots=True)
class Split:
    """Distinct networks in three parts that share none, made before any label is looked at.

    Attributes:
        discovery: what the fitness of programs is computed on.
        validation: what the champion is chosen on, once.
        held_out: what the champion is judged on, at the end.
    """

    discovery: tuple[str, ...]
    validation: tuple[str, ...]
    held_out: tuple[str, ...]

    @property
    def digest(self) -> str:
        """A digest of the parts, the same on every machine.

        >>> Split(("a",), ("b",), ()).digest == Split(("a",), ("b",), ()).digest != Split(("b",), ("a",), ()).digest
        True
        """
        text = json.dumps(self.as_json(), separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()

    def as_json(self) -> dict[str, list[str]]:
        """The parts as plain lists; `from_json` reads them back."""
        return {name: list(archs) for name, archs in asdict(self).items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The split of `as_json`.

        Raises:
            BadInputError: it is none.

        >>> Split.from_json(Split(("a",), ("b",), ("c",)).as_json())
        Split(discovery=('a',), validation=('b',), held_out=('c',))
        """
        names = list(cls.__dataclass_fields__)
        parts = [content.get(name) for name in names]
        for name, part in zip(names, parts, strict=True):
            if not isinstance(part, list) or not all(isinstance(arch, str) for arch in part):
                raise BadInputError(f"a split holds lists of architectures {', '.join(names)}; {name} is none.")
        return cls(*[tuple(part or ()) for part in parts])


class Labels(NamedTuple):
    """Labels of the parts that a search may read, each in the order of its architectures."""

    discovery: NDArray[np.float64]
    validation: NDArray[np.float64]


def split(
    archs_by_unit: Mapping[str, Sequence[str]],
    n_discovery: int,
    n_validation: int,
    seed: int,
    hold_out: Collection[str] = (),
    unlabelled: Collection[str] = (),
) -> Split:
    """Draw distinct networks for discovery and validation; the rest is held out.

    The units, sorted, are shuffled by a generator that depends on the seed alone. The first are for discovery, the
    next for validation, so that a longer validation part begins with the shorter one. No label enters.

    Args:
        archs_by_unit: distinct network (its key) to the architectures that are it; the first stands for them all.
        n_discovery: networks in the discovery part, at least 2.
        n_validation: networks in the validation part, at least 2.
        seed: which shuffle.
        hold_out: architectures whose networks are in neither part. The held-out part is then exactly they, in this
            order; otherwise it is every network that was not drawn, in the order of the shuffle.
        unlabelled: networks (keys) that are passed over where the shuffle comes to them, and so are not drawn. Which
            networks behind the last one drawn are among them changes nothing.

    Raises:
        BadInputError: there are too few networks, an architecture belongs to two, or one to hold out is unknown.

    >>> parts = split({"k1": ["a", "a2"], "k2": ["b"], "k3": ["c"], "k4": ["d"], "k5": ["e"]}, 2, 2, seed=0)
    >>> len(parts.discovery), len(parts.validation), len(parts.held_out)
    (2, 2, 1)
    """
    for name, n in (("discovery", n_discovery), ("validation", n_validation)):
        if n < _FEWEST:
            raise BadInputError(f"the {name} part needs at least {_FEWEST} networks to be ranked, got {n}.")
    unit_of = _units(archs_by_unit)
    kept_out = dict.fromkeys(hold_out)
    unknown = [arch for arch in kept_out if arch not in unit_of]
    if unknown:
        raise BadInputError(f"{unknown[0]!r} cannot be held out: it is not among the {len(unit_of)} architectures.")
    taken = {unit_of[arch] for arch in kept_out}
    units = sorted(unit for unit in archs_by_unit if unit not in taken)
    n_drawn = n_discovery + n_validation
    passed = set(unlabelled)
    n_units = sum([unit not in passed for unit in units])
    if n_units < n_drawn:
        held = f" after {len(taken)} are held out" if taken else ""
        raise BadInputError(
            f"discovery and validation need {n_drawn} distinct networks ({n_discovery} and {n_validation}), but there "
            f"are {n_units}{' with a label' if passed else ''}{held}. Ask for fewer."
        )
    order = np.random.default_rng(seed_for("evolve split", seed)).permutation(len(units))
    shuffled = [units[i] for i in order.tolist()]
    drawn = dict.fromkeys(itertools.islice([unit for unit in shuffled if unit not in passed], n_drawn))
    archs = [archs_by_unit[unit][0] for unit in drawn]
    rest = [archs_by_unit[unit][0] for unit in shuffled if unit not in drawn]
    return Split(tuple(archs[:n_discovery]), tuple(archs[n_discovery:]), tuple(kept_out) or tuple(rest))


def labels_of(parts: Split, labels: Mapping[str, float]) -> Labels:
    """Labels of the discovery and the validation part; no other label is read.

    Raises:
        BadInputError: a label of these parts is missing or not finite.

    >>> labels_of(Split(("a",), ("b",), ("c",)), {"a": 0.5, "b": 0.25, "c": float("nan")})
    Labels(discovery=array([0.5]), validation=array([0.25]))
    """
    return Labels(_labels(parts.discovery, labels, "discovery"), _labels(parts.validation, labels, "validation"))


def _labels(archs: Iterable[str], labels: Mapping[str, float], part: str) -> NDArray[np.float64]:
    found = []
    for arch in archs:
        label = labels.get(arch)
        if label is None or not np.isfinite(label):
            what = "has no label" if label is None else f"has the label {label}"
            raise BadInputError(
                f"{arch} of the {part} part {what}, expected a finite number. Leave it out before the split is drawn."
            )
        found.append(float(label))
    return np.array(found, np.float64)


def _units(archs_by_unit: Mapping[str, Sequence[str]]) -> dict[str, str]:
    unit_of: dict[str, str] = {}
    for unit, archs in archs_by_unit.items():
        if not archs:
            raise BadInputError(f"network {unit!r} has no architecture.")
        for arch in archs:
            if unit_of.setdefault(arch, unit) != unit:
                raise BadInputError(f"{arch!r} is of two networks, {unit_of[arch]!r} and {unit!r}.")
    return unit_of
