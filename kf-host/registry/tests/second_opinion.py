"""Fetch one target with python-tuf, another implementation of the specification.

usage: second_opinion.py PUBLISHED STATE TARGET

Trusts PUBLISHED/metadata/1.root.json on the first use of STATE. Prints the target's SHA-256, or the
name of the error and exits with 1.
"""

import hashlib
import pathlib
import sys

from tuf.api import exceptions
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface


class Folder(FetcherInterface):
    """Reads the files of a folder as if they came from a server."""

    def _fetch(self, url):
        path = pathlib.Path(url.removeprefix("file://"))
        if not path.exists():
            raise exceptions.DownloadHTTPError(f"{path} does not exist", 404)
        yield path.read_bytes()


def main():
    published, state, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    state.mkdir(parents=True, exist_ok=True)
    root = (published / "metadata/1.root.json").read_bytes()
    updater = Updater(
        metadata_dir=str(state),
        metadata_base_url=f"file://{published}/metadata/",
        target_dir=str(state),
        target_base_url=f"file://{published}/targets/",
        fetcher=Folder(),
        bootstrap=root,
    )
    try:
        updater.refresh()
        info = updater.get_targetinfo(target)
        if info is None:
            raise exceptions.RepositoryError("target not found")
        path = updater.download_target(info, str(state / "downloaded"))
    except (exceptions.RepositoryError, exceptions.DownloadError) as error:
        print(type(error).__name__, error)
        sys.exit(1)
    print(hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest())


main()
