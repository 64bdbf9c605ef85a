"""Whatever was compressed comes back whole, or a fault says why not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trunkline.http.body import BodyError, decoded
from trunkline.http.message import Fault

LIMIT = 1_000_000


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("X-GZip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", bare),
    ("identity", bytes),
]


def fault(raw: bytes, encoding: str, most: int = LIMIT) -> Fault | bytes:
    try:
        return decoded(raw, encoding, most)
    except BodyError as error:
        return error.fault if error.detail else b"a fault that says nothing"


@given(st.binary(max_size=2000), st.lists(st.sampled_from(PACKERS), max_size=3))
@example(b"", PACKERS[:3])
def test_every_coding_is_undone_from_the_last_to_the_first(
    body: bytes, packers: list[tuple[str, Callable[[bytes], bytes]]]
) -> None:
    raw = body
    for _, pack in packers:
        raw = pack(raw)
    assert decoded(raw, ", ".join(name for name, _ in packers), LIMIT) == body


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4), st.integers(0, 9))
def test_members_one_after_another_are_one_body(members: list[bytes], padding: int) -> None:
    """RFC 1952: a gzip file is a series of members; zeros may follow."""
    raw = b"".join(map(gzip.compress, members)) + bytes(padding)
    assert decoded(raw, "gzip", LIMIT) == b"".join(members)


@given(st.binary(min_size=1, max_size=2000), st.sampled_from(PACKERS[:4]), st.data())
def test_a_body_cut_short_is_never_taken_for_whole(
    body: bytes, packer: tuple[str, Callable[[bytes], bytes]], data: st.DataObject
) -> None:
    coding, pack = packer
    raw = pack(body)
    cut = data.draw(st.integers(1, len(raw) - 1))
    # Bare deflate has no header that tells it from a wrapped one cut to its first bytes.
    assert fault(raw[:cut], coding) in (Fault.RESET, Fault.MALFORMED)


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "gzip, deflate"]), st.integers(0, 1000))
def test_any_bytes_end_in_a_body_within_the_limit_or_a_fault(raw: bytes, coding: str, most: int) -> None:
    end = fault(raw, coding, most)
    assert end in (Fault.RESET, Fault.MALFORMED, Fault.TOO_LARGE) or len(end) <= most


@given(st.integers(0, 500), st.integers(-1, 1))
def test_the_limit_is_the_largest_body_allowed(size: int, more: int) -> None:
    most = max(0, size + more)
    assert fault(gzip.compress(bytes(size)), "gzip", most) == (bytes(size) if size <= most else Fault.TOO_LARGE)


def test_members_share_one_limit() -> None:
    assert fault(gzip.compress(bytes(60)) * 2, "gzip", 100) is Fault.TOO_LARGE


def test_a_bomb_is_not_unpacked() -> None:
    """Two layers of compressed zeros: each layer is held to the limit and to 1000 times its size."""
    bomb = gzip.compress(gzip.compress(bytes(50_000_000)))
    assert fault(bomb, "gzip, gzip", 10_000_000) is Fault.TOO_LARGE
    assert fault(gzip.compress(bytes(500_000)), "gzip", 100 * LIMIT) == bytes(500_000)
    assert fault(gzip.compress(bytes(50_000_000)), "gzip", 100 * LIMIT) is Fault.TOO_LARGE


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br", "gzip,gzip,gzip,gzip", "none"])
def test_a_coding_nobody_asked_for_is_refused(coding: str) -> None:
    assert fault(gzip.compress(b"x"), coding) is Fault.MALFORMED


@pytest.mark.parametrize(
    "tail", [b"\0\0x", b"\x1f\x8b", gzip.compress(b"y")[:-4]], ids=["zeros", "a head", "a member cut short"]
)
def test_what_follows_a_member_is_a_member(tail: bytes) -> None:
    assert fault(gzip.compress(b"x") + tail, "gzip") in (Fault.MALFORMED, Fault.RESET)


def test_an_empty_body_needs_no_wrapper() -> None:
    """What servers send with 204, HEAD and a careless `Content-Encoding`."""
    assert decoded(b"", "gzip", LIMIT) == b""
