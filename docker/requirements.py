"""Write what pyproject.toml asks for as requirement files, one for each layer of the image.

Layers are rebuilt when these files change, not when anything else in pyproject.toml does.
"""

import re
import sys
import tomllib
from pathlib import Path


def main(pyproject: Path, folder: Path, extras: str = "") -> None:
    """Write ``torch.txt``, ``others.txt`` and ``build.txt`` into ``folder``.

    ``extras`` are names of optional dependencies, separated by commas; an unknown one is an error.
    """
    config = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    wanted: list[str] = config["project"]["dependencies"]
    for extra in filter(None, extras.split(",")):
        wanted += config["project"]["optional-dependencies"][extra]
    torch = [line for line in wanted if re.match(r"torch(?![\w-])", line)]
    lists = {
        "torch": torch,
        "others": [line for line in wanted if line not in torch],
        "build": config["build-system"]["requires"],
    }
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
