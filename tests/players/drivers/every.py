"""All drivers, in the order tables print them."""

from tests.players.drivers import browsers
from tests.players.drivers.ffmpeg import Ffmpeg
from tests.players.drivers.gstreamer import Gstreamer
from tests.players.drivers.mpv import Mpv
from tests.players.drivers.streamlink import Streamlink
from tests.players.drivers.vlc import Vlc
from tests.players.sighting import Player


def every_player() -> list[Player]:
    """One driver of each kind, whether its player is installed or not."""
    return [
        Ffmpeg(),
        browsers.hlsjs(),
        browsers.shaka(),
        browsers.videojs(),
        browsers.native(),
        Vlc(),
        Mpv(),
        Gstreamer(),
        Streamlink(),
    ]
