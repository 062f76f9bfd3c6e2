"""Keeps models on disk: a few versions of each, with digests, and the way back to the one before.

A model file is one line with its digest (and, where there is a key, its signature), one line of
JSON that says what it is, and the content. A file that is cut short, changed or foreign is refused
in words, put aside, and the version before is used. Content is what a predictor's `save` gave; the
store never unpickles, and refuses what is a pickle unless it carries a signature by our key.
"""

import hashlib
import hmac
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from surgecast.errors import LocalError, RemoteError

_MAGIC = "surgecast-model"
_FORMAT = 1
_NAME = re.compile(r"^(?P<kind>[a-z0-9_]{1,64})-(?P<version>[0-9]{6,12})\.model$")
_KIND = re.compile(r"^[a-z0-9_]{1,64}$")
_FIRST_LINE_MAX = 256
_HEADER_MAX = 64 * 1024
CONTENT_MAX_BYTES = 64 * 1024 * 1024
_REFUSED_KEPT = 3
"""Files put aside of each kind, for who wants to know what they were."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One version of one kind of model, whose digest was checked."""

    kind: str
    version: int
    made_at_utc: float
    content: bytes
    digest: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON: rows it was fitted on, its error."""


def packed(model: StoredModel, key: bytes | None = None) -> bytes:
    """A model file. `digest` is made anew."""
    header = {
        "kind": model.kind,
        "version": model.version,
        "made_at_utc": model.made_at_utc,
        "bytes": len(model.content),
        "facts": dict(model.facts),
    }
    body = json.dumps(header, sort_keys=True).encode() + b"\n" + model.content
    return f"{_MAGIC} {_FORMAT} {_digest(body)} {_signature(body, key)}\n".encode() + body


def unpacked(
    data: bytes, key: bytes | None = None, allowed: frozenset[str] = frozenset()
) -> StoredModel:
    """What `packed` gave. With a key, only what was signed by it or whose digest is in `allowed`.

    Raises RemoteError, in words, for everything else.
    """
    line, _, body = data.partition(b"\n")
    words = line[:_FIRST_LINE_MAX].decode("ascii", "replace").split(" ")
    if len(words) != 4 or words[0] != _MAGIC:
        raise RemoteError("it is no model file of surgecast")
    if words[1] != str(_FORMAT):
        raise RemoteError(f"its format is {words[1]!r}; known: {_FORMAT}")
    digest = _digest(body)
    if not hmac.compare_digest(words[2].encode(), digest.encode()):
        raise RemoteError("its content is not what its digest says: changed, or cut short")
    signed = key is not None and hmac.compare_digest(
        words[3].encode(), _signature(body, key).encode()
    )
    if key is not None and not signed and digest not in allowed:
        raise RemoteError(
            f"it is not signed with this manager's key, and its digest {digest[:12]} is not allowed"
        )
    head, _, content = body.partition(b"\n")
    if content[:1] == b"\x80" and not signed:
        raise RemoteError("its content is a pickle, and no key says that it is ours")
    return _described(head, content, digest)


def _described(head: bytes, content: bytes, digest: str) -> StoredModel:
    """Raises RemoteError."""
    try:
        if len(head) > _HEADER_MAX:
            raise ValueError(f"its header is longer than {_HEADER_MAX} bytes")
        header = json.loads(head)
        kind, facts = str(header["kind"]), header["facts"]
        if not _KIND.match(kind) or not isinstance(facts, dict):
            raise ValueError(f"kind {kind[:80]!r}")
        version, made_at_utc = int(header["version"]), float(header["made_at_utc"])
        if int(header["bytes"]) != len(content):
            raise ValueError(f"{header['bytes']} bytes expected, {len(content)} found")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RemoteError(f"its header cannot be read: {error}") from error
    return StoredModel(kind, version, made_at_utc, content, digest, facts)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _signature(body: bytes, key: bytes | None) -> str:
    return "-" if key is None else hmac.new(key, body, hashlib.sha256).hexdigest()


class ModelStore:
    """A folder of model files. It blocks: call it from a thread."""

    def __init__(
        self,
        folder: Path,
        *,
        versions_max: int = 5,
        key: bytes | None = None,
        allowed: frozenset[str] = frozenset(),
    ) -> None:
        self._folder = folder
        self.versions_max = versions_max
        self._key = key
        self._allowed = allowed
        self.refused = 0
        self.problem: str | None = None
        """The last file that was refused, and why; None where none was."""

    def versions(self, kind: str) -> list[int]:
        """Those that are there and were not refused, newest first."""
        return sorted(self._files(kind), reverse=True)

    def put(
        self,
        kind: str,
        content: bytes,
        made_at_utc: float,
        facts: Mapping[str, Any] | None = None,
    ) -> StoredModel:
        """Keep a new version; the oldest beyond the bound go. Raises LocalError."""
        if not _KIND.match(kind) or len(content) > CONTENT_MAX_BYTES:
            raise LocalError(
                f"model {kind[:64]!r} of {len(content)} bytes cannot be kept; allowed: "
                f"a name of [a-z0-9_] and at most {CONTENT_MAX_BYTES} bytes"
            )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            version = self._last(kind) + 1
            model = StoredModel(kind, version, made_at_utc, content, "", facts or {})
            data = packed(model, self._key)
            _written(self._path(kind, version), data)
            for old in self.versions(kind)[self.versions_max :]:
                self._path(kind, old).unlink(missing_ok=True)
        except OSError as error:
            raise LocalError(f"model {kind} not kept in {self._folder}: {error}") from error
        return unpacked(data, self._key, self._allowed | {_digest(data.partition(b"\n")[2])})

    def load(self, kind: str, read: Callable[[bytes], T]) -> tuple[T, StoredModel] | None:
        """The newest version that `read` can make something of; None where there is none.

        A file that is refused, here or by `read` (ValueError, KeyError, TypeError, RemoteError), is
        put aside and the one before is tried.
        """
        for version in self.versions(kind):
            try:
                model = self._opened(kind, version)
                return read(model.content), model
            except (RemoteError, ValueError, KeyError, TypeError, RecursionError) as error:
                self._put_aside(kind, version, f"{error}")
            except OSError as error:
                self._tell(kind, version, f"cannot be read: {error}")
        return None

    def every(self, kind: str) -> list[StoredModel]:
        """All versions that can be used, newest first; the others are left where they are."""
        found = []
        for version in self.versions(kind):
            try:
                found.append(self._opened(kind, version))
            except (RemoteError, OSError):
                continue
        return found

    def _opened(self, kind: str, version: int) -> StoredModel:
        path = self._path(kind, version)
        if path.stat().st_size > CONTENT_MAX_BYTES + _HEADER_MAX + _FIRST_LINE_MAX:
            raise RemoteError(f"it is larger than {CONTENT_MAX_BYTES} bytes")
        model = unpacked(path.read_bytes(), self._key, self._allowed)
        if (model.kind, model.version) != (kind, version):
            raise RemoteError(f"it says that it is {model.kind} version {model.version}")
        return model

    def _put_aside(self, kind: str, version: int, why: str) -> None:
        self._tell(kind, version, why)
        path = self._path(kind, version)
        try:
            os.replace(path, path.with_suffix(".refused"))
            for old in sorted(self._folder.glob(f"{kind}-*.refused"))[:-_REFUSED_KEPT]:
                old.unlink(missing_ok=True)
        except OSError:
            return  # what is not put aside is refused again next time

    def _tell(self, kind: str, version: int, why: str) -> None:
        self.refused += 1
        self.problem = f"model {kind} version {version} not used: {why}"

    def _last(self, kind: str) -> int:
        """The highest version there ever was, as far as files tell."""
        aside = [path.name for path in self._folder.glob(f"{kind}-*.refused")]
        numbers = [found["version"] for name in aside if (found := _of_name(name, kind))]
        return max([0, *self._files(kind), *(int(number) for number in numbers)])

    def _files(self, kind: str) -> list[int]:
        names = [path.name for path in self._folder.glob(f"{kind}-*.model")]
        return [int(found["version"]) for name in names if (found := _of_name(name, kind))]

    def _path(self, kind: str, version: int) -> Path:
        return self._folder / f"{kind}-{version:06d}.model"


def _of_name(name: str, kind: str) -> re.Match[str] | None:
    found = _NAME.match(name.replace(".refused", ".model"))
    return found if found is not None and found["kind"] == kind else None


def _written(path: Path, data: bytes) -> None:
    """Whole, or not at all, and there after a power cut."""
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
