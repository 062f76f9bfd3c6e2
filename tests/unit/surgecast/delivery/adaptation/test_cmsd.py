"""Common Media Server Data, as players read it (rule R56)."""

from surgecast.delivery.adaptation.cmsd import Advice, segment_header
from tests.support.shows import session_url, show


def test_no_space_and_no_rate_below_what_is_meant() -> None:
    assert Advice("origin-1", 1_600_001.0).header() == '"origin-1";mb=1601'
    advice = Advice('a"b', 800_000.0, 1_234_567.0, overloaded=True)
    assert advice.header() == '"ab";etp=1234;mb=800;du'
    assert segment_header(500_000, 2.0) == "ot=av,sf=h,st=l,d=2000,br=2000"


async def test_segments_and_playlists_of_sessions_tell_the_cap_in_both_lanes() -> None:
    async with show() as shown:
        playlist = "/live/demo/" + session_url(shown.stage.create_session("a"))
        segment = "/live/demo/720p/e0-7.ts"
        told = []
        for path in (segment, playlist, playlist):
            for headers in ({}, {"If-None-Match": '"x"'}):
                async with shown.http.get(path, headers=headers) as response:
                    assert response.status == 200
                    assert response.headers["CMSD-Static"].startswith("ot=")
                    assert "CMSD-Dynamic" in response.headers["Access-Control-Expose-Headers"]
                    told.append(response.headers["CMSD-Dynamic"])
        assert set(told) == {'"origin";mb=3600'}
        shown.stage.set_rung_cap("360p")
        shown.publish()
        async with shown.http.get("/live/demo/720p/e0-8.ts") as response:
            assert response.headers["CMSD-Dynamic"] == '"origin";mb=1800'
