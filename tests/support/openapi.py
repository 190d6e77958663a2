"""``python -m tests.support.openapi`` prints the OpenAPI document of the service."""

from app.http.openapi import openapi_json
from app.main import create_app
from app.settings import Settings


def document() -> str:
    """Return the document of a service without an encoder, as a file."""
    return openapi_json(create_app(Settings(encoder=False)))


if __name__ == "__main__":
    print(document(), end="")
