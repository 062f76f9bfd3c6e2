"""The sequence parameter set of H.264: size, profile and level (ITU-T H.264 section 7.3.2.1.1)."""

from dataclasses import dataclass

from surgecast.errors import RemoteError

_WITH_CHROMA = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}
"""profile_idc values whose SPS carries chroma format, bit depths and scaling lists."""
_UNIT_BYTES_MAX = 4096
"""What is longer is no SPS: the fields read here take some 600 bytes at the very most."""
_CODE_BITS_MAX = 32


@dataclass(frozen=True, slots=True)
class Sps:
    """What a player must know before it can show a picture."""

    profile: int
    constraints: int
    level: int
    width: int
    height: int

    @property
    def codec(self) -> str:
        """As in CODECS, for example `avc1.4d401f` (RFC 6381)."""
        return f"avc1.{self.profile:02x}{self.constraints:02x}{self.level:02x}"


class _Bits:
    """Bits from the most significant on, with Exp-Golomb codes."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise RemoteError("not usable H.264: the SPS is cut off")
        return self._value >> self._left & (1 << count) - 1

    def unsigned(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > _CODE_BITS_MAX:
                raise RemoteError("not usable H.264: the SPS holds a number beyond 32 bits")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def parse_sps(unit: bytes) -> Sps:
    """The parameter set in a NAL unit of type 7. Raises RemoteError when it cannot be read."""
    raw = unit[:_UNIT_BYTES_MAX].replace(b"\0\0\3", b"\0\0")
    if len(raw) < 4:
        raise RemoteError("not usable H.264: the SPS is cut off")
    profile, constraints, level = raw[1:4]
    bits = _Bits(raw[4:])
    bits.unsigned()  # seq_parameter_set_id
    chroma = _skip_chroma(bits) if profile in _WITH_CHROMA else 1
    _skip_frame_order(bits)
    width_mbs = bits.unsigned() + 1
    height_units = bits.unsigned() + 1
    frames_only = bits.take(1)
    if not frames_only:
        bits.take(1)
    bits.take(1)
    left, right, top, bottom = _crop(bits)
    step_x = 2 if chroma in (1, 2) else 1
    step_y = (2 if chroma == 1 else 1) * (2 - frames_only)
    return Sps(
        profile=profile,
        constraints=constraints,
        level=level,
        width=width_mbs * 16 - (left + right) * step_x,
        height=height_units * 16 * (2 - frames_only) - (top + bottom) * step_y,
    )


def _crop(bits: _Bits) -> tuple[int, int, int, int]:
    if not bits.take(1):
        return 0, 0, 0, 0
    return bits.unsigned(), bits.unsigned(), bits.unsigned(), bits.unsigned()


def _skip_chroma(bits: _Bits) -> int:
    """Past the high-profile fields; the chroma format (ChromaArrayType 0 for separate planes)."""
    chroma = bits.unsigned()
    separate = bits.take(1) if chroma == 3 else 0
    bits.unsigned()
    bits.unsigned()
    bits.take(1)
    if bits.take(1):
        for number in range(12 if chroma == 3 else 8):
            if bits.take(1):
                _skip_scaling_list(bits, 16 if number < 6 else 64)
    return 0 if separate else chroma


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _skip_frame_order(bits: _Bits) -> None:
    """Past frame numbers and picture order, up to the picture size."""
    bits.unsigned()
    order_type = bits.unsigned()
    if order_type == 0:
        bits.unsigned()
    elif order_type == 1:
        bits.take(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.unsigned()):
            bits.signed()
    bits.unsigned()
    bits.take(1)
