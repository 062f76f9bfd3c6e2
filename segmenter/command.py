"""FFmpeg's command lines, as pure functions of settings. Every flag is here for a reason.

One process per channel decodes once, encodes every rung once and the sound once; the `tee` muxer
writes each rung as MPEG-TS to a pipe of its own and, where the channel has low latency on, as
fragmented MP4 to another. Time stamps start anywhere: the timelines move them when a segment or a
part is sealed, so a listener need not know its place before anyone publishes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segmenter.detection import key_frame_watch, picture_watch, sound_watch
from segmenter.ladder import Ladder, Rung
from segmenter.part_grid import PartGrid
from segmenter.settings import FileSource, PullSource, Source, TestSource

FONT = Path(__file__).parent / "assets" / "DejaVuSansMono.ttf"
_SAMPLE_RATE_HZ = 48_000


@dataclass(frozen=True, slots=True)
class Input:
    """How FFmpeg opens the source, up to and with `-i URL`."""

    args: tuple[str, ...]
    has_sound: bool
    progressive: bool = False
    """True where frames are known to be whole, so that no deinterlacer is needed."""
    skip_s: float = 0.0
    """What to leave out at the start: another encoder has shown it already."""


def source_input(
    source: Source, *, form: str = "flv", has_sound: bool = True, start_s: float = 0.0
) -> Input:
    """The input of a channel's encoder. `form` is what comes on standard input for fed sources.

    `start_s` is where to begin, in a recording or in what is fed. A file is then played to its end
    and not again: FFmpeg seeks to the wrong place in the second pass of `-stream_loop`.
    """
    if isinstance(source, TestSource):
        return Input(_test_input(source), has_sound=True, progressive=True)
    if isinstance(source, FileSource):
        # -re: at native speed; -stream_loop -1: again for ever.
        pass_ = ("-ss", f"{start_s:.3f}") if start_s else ("-stream_loop", "-1")
        return Input(("-re", *pass_, "-i", f"file:{source.path}"), has_sound)
    if isinstance(source, PullSource):
        seek = ("-ss", f"{start_s:.3f}") if start_s else ()
        return Input((*seek, *_pull_input(source)), has_sound)
    return Input(_fed_input(form, goes_on=start_s > 0), has_sound, skip_s=start_s)


def probe_input(source: Source, *, form: str = "flv") -> tuple[str, ...]:
    """What to probe before the encoder is built."""
    if isinstance(source, FileSource):
        return ("-i", f"file:{source.path}")
    if isinstance(source, PullSource):
        return tuple(arg for arg in _pull_input(source) if arg != "-re")
    return _fed_input(form, known=False)


def _test_input(source: TestSource) -> tuple[str, ...]:
    size = f"{source.width}x{source.height}"
    picture = f"testsrc2=size={size}:rate={source.frame_rate:g}"
    clock = _text(r"%{gmtime:%H\:%M\:%S} UTC", source.height // 12, "h*0.72", "normal")
    # asplit of two sines would cost more than one quiet tone with a beep each second.
    tone = f"sine=frequency=220:beep_factor=4:sample_rate={_SAMPLE_RATE_HZ},volume=0.3"
    return (
        *("-re", "-f", "lavfi", "-i", f"{picture},{clock}"),
        *("-re", "-f", "lavfi", "-i", tone),
    )


def _pull_input(source: PullSource) -> tuple[str, ...]:
    return (
        "-re",  # a recording is played at its native speed; a live source sets the pace itself
        *("-rw_timeout", "10000000"),  # microseconds: a server that stalls is an error, not a wait
        *("-reconnect", "1", "-reconnect_streamed", "1", "-reconnect_delay_max", "2"),
        *("-i", source.url),
    )


def _fed_input(form: str, *, known: bool = True, goes_on: bool = False) -> tuple[str, ...]:
    """`known`: it was probed before. `goes_on`: it begins with a key frame, after the tables."""
    return (
        # Microseconds. The default of 5 s delays every start; of a transport stream all of it is
        # waited for, whatever comes.
        *("-analyzeduration", "500000" if goes_on else "1500000"),
        *("-probesize", "2000000"),
        # By default FFmpeg waits for 20 pictures of FLV, in real time, to guess their rate.
        *(("-fpsprobesize", "0") if known else ()),
        *("-f", form, "-i", "pipe:0"),
    )


def encoder_command(
    ffmpeg: str,
    source: Input,
    ladder: Ladder,
    pipes: Sequence[int],
    threads: int | None = None,
    *,
    grid: PartGrid | None = None,
    decided_preset: str = "",
    watched: bool = False,
) -> list[str]:
    """The channel's encoder. `pipes` are the file descriptors to write to, one per rung.

    `decided_preset` is that of the channel's first encoder, whose H.264 profile all others keep.
    With low latency on, `grid` says what a part is, and as many pipes again are for parts. An
    encoder that is `watched` tells on standard output what `segmenter.faults` reads.
    """
    silence = () if source.has_sound else _silence()
    return [
        *_quiet(ffmpeg, feeds="pipe:0" in source.args),
        *source.args,
        *silence,
        *("-filter_complex", _graph(source, ladder, watched)),
        *_encode(ladder, grid, decided_preset),
        *(("-threads", str(threads)) if threads else ()),
        *_tee(ladder, pipes, grid),
    ]


def watcher_command(ffmpeg: str, source: Input) -> list[str]:
    """Watches a source that is not on air: its key frames and its sound; encodes nothing."""
    graph, maps = f"[0:v:0]{key_frame_watch()}[picture]", ["-map", "[picture]"]
    if source.has_sound:
        graph += f";{_sound_of(source)}aresample={_SAMPLE_RATE_HZ},{sound_watch()}[sound]"
        maps += ["-map", "[sound]"]
    return [
        *_quiet(ffmpeg, feeds="pipe:0" in source.args),
        *("-skip_frame", "nokey"),  # a key frame each 2 s is 1/50 of the decoding
        *source.args,
        *("-filter_complex", graph, *maps),
        # A null output takes frames as they come: none is repeated to fill a gap.
        *("-fps_mode", "passthrough", "-f", "null", "-"),
    ]


def slate_command(
    ffmpeg: str,
    ladder: Ladder,
    pipes: Sequence[int],
    *,
    text: str,
    image: Path | None,
    grid: PartGrid | None = None,
) -> list[str]:
    """Draws one segment of slate for every rung: a line of text over a bar that sweeps once."""
    top = ladder.rungs[0]
    seconds = float(ladder.segment_duration_s)
    rate, size = ladder.frame_rate, f"{top.width}x{top.height}"
    ground = (
        ("-loop", "1", "-framerate", str(rate), "-i", f"file:{image}")
        if image
        else ("-f", "lavfi", "-i", f"color=c=0x10141f:size={size}:rate={rate}")
    )
    bar_height = max(2, top.height // 120 * 2)
    bar = f"color=c=0x4c8dff:size={_even(top.width / 5)}x{bar_height}:rate={rate}"
    sweep = f"overlay=x='(W+w)*mod(t,{seconds:.6f})/{seconds:.6f}-w':y=H*0.62"
    words = _text(text, top.height // 12, "h*0.44", "none")
    fit = f"{_fit(top)},{words}"
    drawn = f"[0:v]{fit}[ground];[ground][1:v]{sweep}:shortest=1"
    return [
        *_quiet(ffmpeg, feeds=False),
        *ground,
        *("-f", "lavfi", "-i", bar),
        # A little more sound than video: frames of sound do not end where segments do.
        *("-f", "lavfi", "-t", f"{seconds + 0.2:.6f}", "-i", _SILENT_SOUND),
        *("-filter_complex", f"{drawn},{_split(ladder)};[2:a]anull[sound]"),
        *_encode(ladder, grid),
        *("-frames:v", str(ladder.segment_frames)),
        *_tee(ladder, pipes, grid),
    ]


_SILENT_SOUND = f"anullsrc=channel_layout=stereo:sample_rate={_SAMPLE_RATE_HZ}"


def _quiet(ffmpeg: str, *, feeds: bool) -> list[str]:
    stdin = [] if feeds else ["-nostdin"]  # else FFmpeg would read keys from our terminal
    return [ffmpeg, "-hide_banner", *stdin, "-nostats", "-loglevel", "level+warning"]


def _silence() -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", _SILENT_SOUND)


def _graph(source: Input, ladder: Ladder, watched: bool) -> str:
    steps, sound_steps = [], []
    if source.skip_s:
        # Not -ss: on a pipe FFmpeg would seek in FLV by reading on to some later key frame.
        later = f"=start={source.skip_s:.3f}", f"setpts=PTS-{source.skip_s:.3f}/TB"
        steps += [f"trim{later[0]}", later[1]]
        if source.has_sound:
            sound_steps += [f"atrim{later[0]}", f"a{later[1]}"]
    if not source.progressive:
        # Only frames that are marked as interlaced are touched; one frame out for one in.
        steps.append("bwdif=mode=send_frame:deint=interlaced")
    # One constant rate for all rungs, whatever the source does (R11); frames repeat over gaps.
    steps.append(f"fps={ladder.frame_rate}")
    # async=1: silence is put into gaps of the sound, so that it keeps up with the picture.
    sound_steps.append(f"aresample={_SAMPLE_RATE_HZ}:async=1:first_pts=0")
    sound_steps.append("aformat=sample_fmts=fltp:channel_layouts=stereo")
    picture = f"[0:v:0]{','.join(steps)},{_split(ladder, watched)}"
    sound = f"{_sound_of(source)}{','.join(sound_steps)}"
    if not watched:
        return f"{picture};{sound}[sound]"
    looks = f"[watched]{picture_watch(ladder.frame_rate)},nullsink"
    return f"{picture};{looks};{sound},asplit[sound][heard];[heard]{sound_watch()},anullsink"


def _sound_of(source: Input) -> str:
    inputs = sum(arg == "-i" for arg in source.args)
    return f"[{1 if inputs > 1 or not source.has_sound else 0}:a:0]"


def _split(ladder: Ladder, watched: bool = False) -> str:
    """The picture to each rung: fitted into its size, padded where the aspect differs.

    What is watched is the last rung, because it is small already.
    """
    names = [f"[s{index}]" for index in range(len(ladder.rungs))]
    chains = [
        f"{name}{_fit(rung)},format=yuv420p[v{index}]"
        for index, (name, rung) in enumerate(zip(names, ladder.rungs, strict=True))
    ]
    if watched:
        last = f"[v{len(names) - 1}]"
        chains[-1] = f"{chains[-1].removesuffix(last)},split{last}[watched]"
    return f"split={len(names)}{''.join(names)};" + ";".join(chains)


def _fit(rung: Rung) -> str:
    size = f"{rung.width}:{rung.height}"
    scale = f"scale={size}:force_original_aspect_ratio=decrease:force_divisible_by=2"
    return f"{scale},pad={size}:-1:-1:color=black,setsar=1"


_PLAIN = "ultrafast"
"""The one preset that uses no tool of the Main profile, so that x264 calls its streams Baseline. A
channel has one CODECS string for its life: another preset for a while must not change it."""


def _encode(ladder: Ladder, grid: PartGrid | None, decided_preset: str = "") -> list[str]:
    gop = str(ladder.segment_frames)
    args = [arg for index in range(len(ladder.rungs)) for arg in ("-map", f"[v{index}]")]
    args += ["-map", "[sound]", "-c:v", "libx264", "-preset", ladder.preset]
    # One profile and level for all rungs: one CODECS string holds for every switch (R27).
    plain = decided_preset == _PLAIN != ladder.preset
    args += ["-profile:v", "baseline" if plain else "main", "-level:v", ladder.level]
    # B-frames would cost stalls at every discontinuity (R12).
    args += ["-bf", "0"]
    # A closed GOP is exactly a segment, in every rung at the same frame (R11, R18).
    args += ["-g", gop, "-keyint_min", gop, "-sc_threshold", "0"]
    x264 = []
    if ladder.preset == _PLAIN != (decided_preset or _PLAIN):
        # The cheapest tool of Main that makes the stream Main: 2 % of CPU, CABAC is 7 %.
        x264.append("weightp=1")
    if ladder.kind == "iso_resolution":
        # The same SPS and PPS whatever the bit rate, so that rungs join without a seam.
        x264.append("stitchable=1")
    if grid is not None:
        # No frame is held back, neither to look ahead nor to encode several at once: that would
        # be 0.5 s (docs/decisions/0011). mbtree needs the frames ahead.
        x264.append("rc-lookahead=0:sync-lookahead=0:mbtree=0:sliced-threads=1")
        # SPS and PPS go into `moov`; the MPEG-TS gets them back at each key frame.
        args += ["-flags", "+global_header"]
    if x264:
        args += ["-x264-params", ":".join(x264)]
    for index, rung in enumerate(ladder.rungs):
        args += [f"-b:v:{index}", str(rung.video_bps), f"-maxrate:v:{index}", str(rung.max_bps)]
        args += [f"-bufsize:v:{index}", str(rung.buffer_bits)]
    args += ["-c:a", "aac", "-b:a", str(ladder.audio_bps), "-ar", str(_SAMPLE_RATE_HZ)]
    # Sound that stops must not hold the picture back for the default 10 s (microseconds).
    return [*args, "-max_interleave_delta", "500000", "-map_metadata", "-1"]


def _tee(ladder: Ladder, pipes: Sequence[int], grid: PartGrid | None) -> list[str]:
    """One encode of the sound for all rungs, so that it is bit-identical in each (R11).

    flush_packets: a frame leaves FFmpeg when it is encoded, not when 32 kB have gathered. Tables
    are rare because the cutter drops them and writes its own.
    """
    count = len(ladder.rungs)
    assert len(pipes) == (2 if grid else 1) * count, "one pipe for each rung and form"
    in_band = "bsfs/v=dump_extra=freq=keyframe:" if grid else ""
    segments = f"f=mpegts:{in_band}{_NO_WAIT}:flush_packets=1:pat_period=60:sdt_period=60"
    forms = [(segments, pipe) for pipe in pipes[:count]]
    if grid is not None:
        forms += [(_fragments(grid), pipe) for pipe in pipes[count:]]
    slaves = [
        f"[{options}:select=\\'v:{place % count},a\\']pipe:{pipe}"
        for place, (options, pipe) in enumerate(forms)
    ]
    return ["-f", "tee", "|".join(slaves)]


_NO_WAIT = "max_interleave_delta=1"
"""Of a slave of `tee`, in microseconds: what reaches it is in order already. By default it would
hold the picture back for 10 s when the sound stops."""


def _fragments(grid: PartGrid) -> str:
    """Fragmented MP4 in which each fragment has the frames of a part.

    empty_moov: the initialization section comes first. frag_duration in microseconds, rounded
    down: the frame after the last of a part must not be before it. With a clock on which a frame
    is whole, times are exact. noise: drops the first packet of sound, its encoder's priming, which
    would be there before the first frame and make the first fragments end in the wrong place.
    write_btrt: without it an `iso_resolution` ladder has one initialization section for all rungs.
    """
    microseconds = int(grid.part_target_s * 1_000_000)
    return (
        "f=mp4:bsfs/a=noise=drop=not(n)"
        ":movflags=+empty_moov+default_base_moof+frag_keyframe+skip_trailer"
        f":frag_duration={microseconds}:video_track_timescale={grid.video_hz}"
        f":write_btrt=0:{_NO_WAIT}:flush_packets=1"
    )


def _text(text: str, size: int, y: str, expansion: str) -> str:
    """A line of text over the picture. Expansion `none` takes it as it is, `%` and all."""
    return (
        f"drawtext=fontfile='{FONT}':expansion={expansion}:text={_escaped(text)}:fontsize={size}"
        f":fontcolor=white:x=(w-text_w)/2:y={y}"
        f":box=1:boxcolor=black@0.55:boxborderw={max(2, size // 3)}"
    )


def _escaped(text: str) -> str:
    """Any text as a filter's option: escaped for the option, then for the graph around it."""
    option = re.sub(r"([\\':])", r"\\\1", text)
    return re.sub(r"([\\'\[\],;])", r"\\\1", option)


def _even(pixels: float) -> int:
    return max(2, round(pixels / 2) * 2)
