"""Models on disk: what is used, what is refused, and what is used then."""

import json
import pickle

import pytest

from surgecast.errors import LocalError, RemoteError
from traffic_manager.placement.costs.model_store import ModelStore, StoredModel, packed, unpacked

KEY = b"of this manager"


def stored(folder, **other) -> ModelStore:
    """Two versions, the newer one of `new`."""
    store = ModelStore(folder, **other)
    store.put("forest", b'{"old": 1}', 100.0)
    store.put("forest", b'{"new": 2}', 200.0, {"rows": 7})
    return store


def loaded(store: ModelStore):
    found = store.load("forest", json.loads)
    return None if found is None else found[0]


def newest(folder):
    return folder / "forest-000002.model"


def test_the_newest_version_is_used(tmp_path):
    content, model = stored(tmp_path).load("forest", json.loads)
    assert content == {"new": 2}
    assert (model.version, model.made_at_utc, model.facts) == (2, 200.0, {"rows": 7})


def test_versions_are_bounded_and_their_numbers_rise(tmp_path):
    store = ModelStore(tmp_path, versions_max=3)
    for _ in range(7):
        store.put("forest", b"{}", 0.0)
    assert store.versions("forest") == [7, 6, 5]
    assert len(list(tmp_path.iterdir())) == 3
    for _ in range(5):
        (tmp_path / f"forest-{store.versions('forest')[0]:06d}.model").write_bytes(b"")
        store.load("forest", json.loads)
        store.put("forest", b"{}", 0.0)
    assert store.versions("forest")[0] == 12, "a number that was refused is not given again"
    assert len(list(tmp_path.glob("*.refused"))) == 3


def change(data: bytes) -> bytes:
    return data.replace(b'{"new": 2}', b'{"new": 9}')


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (change, "its digest"),
        (lambda data: data[:-3], "cut short"),
        (lambda data: data[:20], "no model file"),
        (lambda data: b"", "no model file"),
        (lambda data: pickle.dumps({"new": 2}), "no model file"),
        (lambda data: b"\x93NUMPY" + data, "no model file"),
        (lambda data: data.replace(b"model 1", b"model 2", 1), "format"),
        (lambda data: packed(StoredModel("forest", 9, 0.0, b"{}", "")), "says that it is"),
        (lambda data: packed(StoredModel("Fo/rest", 2, 0.0, b"{}", "")), "header"),
        (lambda data: packed(StoredModel("forest", 2, 0.0, b"no JSON", "")), "Expecting"),
        (lambda data: packed(StoredModel("forest", 2, 0.0, pickle.dumps(1), "")), "pickle"),
    ],
)
def test_a_spoilt_file_is_refused_in_words_and_the_one_before_is_used(tmp_path, spoil, words):
    store = stored(tmp_path)
    newest(tmp_path).write_bytes(spoil(newest(tmp_path).read_bytes()))
    assert loaded(store) == {"old": 1}
    assert words in store.problem
    assert store.refused == 1
    # It is put aside: it is not met again.
    assert loaded(store) == {"old": 1}
    assert store.refused == 1


def test_with_a_key_only_what_it_signed_is_used(tmp_path):
    stored(tmp_path, key=b"of another manager")
    store = ModelStore(tmp_path, key=KEY)
    assert loaded(store) is None
    assert "not signed" in store.problem
    store.put("forest", b'{"ours": 3}', 300.0)
    assert loaded(store) == {"ours": 3}


def test_a_digest_that_is_allowed_needs_no_signature():
    shipped = packed(StoredModel("prior", 1, 0.0, b"{}", ""))
    with pytest.raises(RemoteError, match="not signed"):
        unpacked(shipped, KEY)
    digest = unpacked(shipped).digest
    assert unpacked(shipped, KEY, frozenset({digest})).content == b"{}"
    with pytest.raises(RemoteError, match="not signed"):
        unpacked(packed(StoredModel("prior", 1, 0.0, b"[]", "")), KEY, frozenset({digest}))


def test_a_pickle_is_taken_with_our_signature_only():
    model = packed(StoredModel("forest", 1, 0.0, pickle.dumps(1), ""), KEY)
    assert unpacked(model, KEY).content[:1] == b"\x80"
    with pytest.raises(RemoteError, match="pickle"):
        unpacked(model)


def test_a_disk_that_refuses_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError, match="not kept"):
        ModelStore(tmp_path / "file" / "models").put("forest", b"{}", 0.0)
    with pytest.raises(LocalError, match="cannot be kept"):
        ModelStore(tmp_path).put("../forest", b"{}", 0.0)


def test_a_half_written_file_is_no_version(tmp_path):
    store = stored(tmp_path)
    (tmp_path / "forest-000003.new").write_bytes(b"surgecast-model 1")
    assert store.versions("forest") == [2, 1]
    assert store.versions("fore") == []
