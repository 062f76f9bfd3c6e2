"""Every server names the same owner of a session without asking the others."""

from dataclasses import replace

from surgecast.delivery.sessions.neighbours import Neighbour, Neighbours

SERVERS = [
    Neighbour(name, f"http://{name}:80", "eu", is_origin=False, takes_sessions=True)
    for name in ("a", "b", "c")
]
VIEWS = [Neighbours(own, tuple(n for n in SERVERS if n != own)) for own in SERVERS]
SESSIONS = [f"session-{i}" for i in range(60)]


def test_the_owner_in_the_token_decides_while_it_lives():
    assert {view.owner_of(s, "b") for view in VIEWS for s in SESSIONS} == {"b"}


def test_all_survivors_name_the_same_heir_and_heirs_are_spread():
    survivors = [view for view in VIEWS if view.own.server != "b"]
    heirs = {s: {view.owner_of(s, "b", without=["b"]) for view in survivors} for s in SESSIONS}
    assert all(len(named) == 1 for named in heirs.values())
    assert set.union(*heirs.values()) == {"a", "c"}


def test_a_server_that_drains_has_an_heir_too():
    draining = replace(SERVERS[1], takes_sessions=False)
    view = Neighbours(SERVERS[0], (draining, SERVERS[2]))
    assert {view.owner_of(s, "b") for s in SESSIONS} == {"a", "c"}


def test_who_is_alone_decides_itself():
    alone = Neighbours(replace(SERVERS[0], takes_sessions=False))
    assert alone.owner_of("s", "gone") == "a"
