"""Several proxies as one score: where a network stands in each of them, among those asked for or in a stored pool.

`rank(epsinas,params)`, `borda(...)`, `mean_rank(...)` and `vote(...)` go wherever proxies are named. Only the scores of
the members are computed and stored; the aggregate is made when a table is, because it depends on the others there.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from untrained.engine.store import read_archs, read_rows, read_run, refuse_other_protocol
from untrained.engine.worker import Row
from untrained.errors import BadInputError, RunConflictError, UnknownNameError
from untrained.parameters import split_list
from untrained.proxies import NAMED, PROXIES, BoundProxy, parse_proxies
from untrained.proxies.base import Parameter
from untrained.spaces import Space
from untrained.stats import AGGREGATIONS
from untrained.types import Scope, Status

_VERSION: Final = 1  # raise it when an aggregate of the same member scores gives other numbers


@dataclass(frozen=True)
class Aggregate:
    """A score made of the ranks of other scores; higher is always better. `name` is that of a paper, if it has one."""

    method: str  # of untrained.stats.AGGREGATIONS
    members: tuple[BoundProxy, ...]
    name: str | None = None

    @property
    def text(self) -> str:
        """What tables and files call it: the paper's name, or the method with its members."""
        return self.name or f"{self.method}({','.join(member.text for member in self.members)})"

    @property
    def scope(self) -> Scope:
        """What two architectures must share to share the value: all that any member asks for."""
        return min((member.scope for member in self.members), key=list(Scope).index)  # they stand finest first

    @property
    def higher_is_better(self) -> bool:
        """Always: members whose paper says lower is better are turned round first."""
        return True

    @property
    def about(self) -> dict[str, Any]:
        """What a table must say of it, besides the pool."""
        return {
            "version": _VERSION,
            "scope": self.scope.value,
            "higher_is_better": self.higher_is_better,
            "method": self.method,
            "members": [member.text for member in self.members],
        }


Asked: TypeAlias = BoundProxy | Aggregate
Scored: TypeAlias = Mapping[str, Sequence[Row]]  # by key of a network: its row of each member


@dataclass(frozen=True)
class Pool:
    """Networks of a run folder to rank against: for each aggregate their member scores."""

    source: str
    networks: Mapping[str, Scored]


def parse_asked(text: str, defaults: Mapping[str, Mapping[str, Parameter]] | None = None) -> list[Asked]:
    """Proxies and aggregates from text such as `rank(epsinas(low=1e-4),params),flops`.

    Args:
        text: names with commas between; members of an aggregate in its parentheses.
        defaults: other values, by proxy, for parameters that the text does not give.

    Raises:
        UnknownNameError: no proxy of that name, or a named aggregate whose parts are not all there.
        BadInputError: a malformed list, an aggregate of fewer than two or of aggregates, or a name given twice.

    >>> [asked.text for asked in parse_asked("rank(epsinas(low=1e-4), params), flops")]
    ['rank(epsinas(low=0.0001),params)', 'flops']
    """
    items = split_list(text)
    asked: list[Asked] = [one for item in items for one in _parse_one(item, defaults)]
    if not asked:
        raise BadInputError("no proxy given. `untrained proxies` lists them.")
    texts = [one.text for one in asked]
    for name in texts:
        if texts.count(name) > 1:
            raise BadInputError(f"proxy {name} is given twice.")
    return asked


def available() -> list[str]:
    """Every registered proxy, and the named aggregates whose parts are all registered."""
    ready = [name for name, named in NAMED.items() if all(part in PROXIES for part in named.members.split(","))]
    return [*PROXIES, *ready]


def members_of(asked: Iterable[Asked]) -> list[BoundProxy]:
    """What has to be computed, each once."""
    bound = [member for one in asked for member in (one.members if isinstance(one, Aggregate) else (one,))]
    return list({member.text: member for member in bound}.values())


def read_pool(folder: Path, aggregates: Mapping[str, Any], space: Space, protocol: Mapping[str, Any]) -> Pool:
    """The networks of a run folder, to be ranked against. What the run left unscored is no part of it.

    Args:
        folder: of the run.
        aggregates: by their texts, what `Aggregate.about` says of them.
        space: of the networks.
        protocol: that the scores of the members must have.

    Raises:
        RunConflictError: no run there, or its member scores are missing or of another protocol; the message names the
            field.
    """
    then = read_run(folder)["protocol"]
    members = {name for about in aggregates.values() for name in about["members"]}
    fields = ("space", "space_version", "task", "batch")
    now = {name: protocol[name] for name in fields} | {"proxies": {name: protocol["proxies"][name] for name in members}}
    refuse_other_protocol(folder, then, now, "Choose another pool, or score in its way.")
    for name in sorted(members - then["proxies"].keys()):
        raise RunConflictError(f"{folder} holds no scores of {name}. Score its architectures with that proxy first.")
    rows, keys = read_rows(folder), keys_of(space, read_archs(folder), protocol)
    networks = {text: _gather(about, protocol, rows, keys) for text, about in aggregates.items()}
    for text, found in networks.items():
        if not found:
            raise RunConflictError(f"{folder} has no network with scores of every member of {text}.")
    return Pool(str(folder), networks)


def keys_of(space: Space, texts: Iterable[str], protocol: Mapping[str, Any]) -> dict[Scope, list[str]]:
    """For each scope that a proxy of the protocol has, the key of every architecture."""
    archs = [space.parse(text) for text in texts]
    scopes = {Scope(about["scope"]) for about in protocol["proxies"].values()}
    return {scope: [space.canonical(arch, scope) for arch in archs] for scope in scopes}


def aggregate(
    text: str,
    about: Mapping[str, Any],
    protocol: Mapping[str, Any],
    rows: Mapping[tuple[str, str], Row],
    keys: Mapping[Scope, Sequence[str]],
    pool: Pool | None,
) -> tuple[dict[str, Row], dict[str, Any]]:
    """The rows of an aggregate for architectures whose members are scored; see `combine`.

    Args:
        text: of the aggregate.
        about: what `Aggregate.about` says of it.
        protocol: of the member scores.
        rows: finished evaluations by (proxy, key).
        keys: for each scope, the key of every architecture.
        pool: networks to rank against; None ranks these among themselves.
    """
    ways = [protocol["proxies"][name]["higher_is_better"] for name in about["members"]]
    reference = pool.networks[text] if pool else None
    return combine(text, about["method"], ways, _gather(about, protocol, rows, keys), reference)


def _gather(
    about: Mapping[str, Any],
    protocol: Mapping[str, Any],
    rows: Mapping[tuple[str, str], Row],
    keys: Mapping[Scope, Sequence[str]],
) -> dict[str, tuple[Row, ...]]:
    """For each distinct network its rows of all members, where it has all of them."""
    members = [(name, keys[Scope(protocol["proxies"][name]["scope"])]) for name in about["members"]]
    found: dict[str, tuple[Row, ...]] = {}
    for i, key in enumerate(keys[Scope(about["scope"])]):
        if key not in found:
            have = tuple([rows[name, of[i]] for name, of in members if (name, of[i]) in rows])
            if len(have) == len(members):
                found[key] = have
    return found


def combine(
    text: str, method: str, higher_is_better: Sequence[bool], networks: Scored, pool: Scored | None = None
) -> tuple[dict[str, Row], dict[str, Any]]:
    """The value of an aggregate for each network, and what it was ranked among.

    Args:
        text: of the aggregate.
        method: of AGGREGATIONS.
        higher_is_better: for each member.
        networks: distinct networks with their member rows.
        pool: networks to rank against; None ranks `networks` among themselves.

    Returns:
        A row for each key, its seconds those of the members together; a network that a member leaves without a value
        is undefined, and the reason names the member. And the size and digest of the pool: of the keys and member
        scores of all networks in it that every member defines.
    """
    scores = _oriented(networks, higher_is_better)
    reference = None if pool is None else _oriented(pool, higher_is_better)
    among = networks if pool is None else pool
    defined = {key: rows for key, rows in among.items() if all(row.status == Status.OK for row in rows)}
    alone = len(defined) + (pool is not None) < 2
    values = AGGREGATIONS[method](scores, reference).tolist()
    combined = {}
    for (key, rows), value in zip(networks.items(), values, strict=True):
        failed = next((row for row in rows if row.status != Status.OK), None)
        seconds = sum(row.seconds for row in rows)
        if failed is not None:
            detail = f"{failed.proxy} is {failed.status}" + (f": {failed.detail}" if failed.detail else "")
            combined[key] = Row(key, text, None, str(Status.UNDEFINED), seconds, detail)
        elif alone:
            detail = "there is no other network to rank it among; give more architectures, or a pool"
            combined[key] = Row(key, text, None, str(Status.UNDEFINED), seconds, detail)
        else:
            combined[key] = Row(key, text, value, str(Status.OK), seconds, "")
    digest = hashlib.blake2b(digest_size=16)
    for key in sorted(defined):
        digest.update(repr((key, [row.value for row in defined[key]])).encode())
    return combined, {"networks": len(defined), "digest": digest.hexdigest()}


def _oriented(networks: Scored, higher_is_better: Sequence[bool]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Shape (members, networks), higher is better, NaN = no value."""
    values = [[np.nan if row.value is None else row.value for row in rows] for rows in networks.values()]
    signs = np.where(higher_is_better, 1.0, -1.0)
    return np.array(values, np.float64).reshape(len(values), len(signs)).T * signs[:, None]


def _parse_one(item: str, defaults: Mapping[str, Mapping[str, Parameter]] | None) -> Sequence[Asked]:
    match = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*", item)
    name = match[1] if match else ""
    inside = (match[2] if match else None) or ""
    if name in PROXIES or not (name in NAMED or name in AGGREGATIONS):
        return parse_proxies(item, defaults)
    if name in NAMED:
        if inside.strip():
            raise BadInputError(f"{name} has no parameters; write {NAMED[name].method}(...) with parts of your own.")
        missing = [part for part in NAMED[name].members.split(",") if part not in PROXIES]
        if missing:
            parts = ", ".join(missing)
            raise UnknownNameError(f"{name} needs the proxies {parts}, which this installation does not have.")
        return (Aggregate(NAMED[name].method, tuple(parse_proxies(NAMED[name].members, defaults)), name),)
    for member in split_list(inside):
        inner = member.partition("(")[0].strip()
        if inner not in PROXIES and (inner in NAMED or inner in AGGREGATIONS):
            raise BadInputError(f"{name}: {inner} is an aggregate itself. Name the proxies it is made of.")
    members = parse_proxies(inside, defaults) if inside.strip() else []
    if len(members) < 2:
        raise BadInputError(f"{name} needs at least two proxies, as in {name}(epsinas,params), got {item.strip()!r}.")
    return (Aggregate(name, tuple(members)),)
