"""What uvicorn is made of here."""

import pytest
import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol


def test_uvicorn_takes_the_fast_loop_and_parser():
    """By itself, as ``serve`` names neither."""
    uvloop = pytest.importorskip("uvloop")  # not on Windows
    assert uvicorn.Config("app:app").get_loop_factory() is uvloop.new_event_loop
    assert AutoHTTPProtocol.__name__ == "HttpToolsProtocol"
