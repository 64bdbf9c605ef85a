"""The faults a step can play, by what they do; what each is stands in `FaultServer.route`."""

from __future__ import annotations

# Only change what the answer says; the connection behaves.
CONTENT_FAULTS = ("double_gzip", "gzip_bomb", "wrong_length", "bom", "bad_utf8")
# Of the connection, played by protocol.py.
CONNECTION_FAULTS = (
    "reset", "reset_after_store", "close_after_headers", "close_after_answer", "truncate", "drip", "drip_head", "hang",
    "hang_body", "garbage", "refuse",
)  # fmt: skip
# After these the client knows nothing and the server did nothing; every other 2xx keeps the rows.
NOTHING_DONE = ("reset", "hang", "garbage", "refuse")
# The answer is whole all the same; a page counts as served without a fault, and with these.
READABLE = ("bom", "close_after_answer", "drip", "drip_head")
