"""``python -m tests.support.openapi`` prints the OpenAPI document of the service."""

import json

from app.main import create_app
from app.settings import Settings


def document() -> str:
    """Return the document of a service without an encoder, as a file."""
    app = create_app(Settings(encoder=False))
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(document(), end="")
