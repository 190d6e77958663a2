"""HEAD answers as GET does, without the body."""

import httpx
import pytest
from support.http import JPEG, check_problem
from support.server import serving, wait_for

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/healthz", 200),
        ("/static/main.js", 200),
        ("/plan?width=640&height=480", 200),
        ("/plan?width=640", 422),
        ("/nowhere", 404),
    ],
)
async def test_head_is_get_without_its_body(serve, path, status):
    async with serve(encoder=False) as client:
        head, get = await client.head(path), await client.get(path)
    assert head.status_code == get.status_code == status
    assert dict(head.headers) == dict(get.headers)
    assert head.content == b""
    assert get.content


async def test_what_takes_a_body_takes_no_head(serve):
    async with serve(encoder=False) as client:
        assert (await client.head("/resize")).status_code == 405
        answer = await client.put("/plan", content=b"x", headers=JPEG)
        check_problem(answer, 405, "method-not-allowed")


def test_a_real_server_and_client_agree(tmp_path):
    """On a connection that is kept: a body after a HEAD would be read as the next answer."""
    with serving(tmp_path, encoder="false") as (_, url), httpx.Client() as client:
        wait_for(f"{url}/healthz")
        for _ in range(3):
            assert client.head(f"{url}/plan?width=640&height=480").status_code == 200
            plan = client.get(f"{url}/plan?width=640&height=480").json()
            assert plan["tokens"]["prompt"] == 740
