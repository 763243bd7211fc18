"""Write a TUF repository with python-tuf, another implementation of the specification.

usage: written_by_python_tuf.py TARGETS OUT OWNER

TARGETS is the folder `targets` of a published registry. The same targets are signed with new keys of three
types: those of commands by the delegated role author-OWNER, all others by the role targets. Root, targets and
the author need two of three keys. OUT gets the folders `metadata` and `targets`.
"""

import json
import pathlib
import sys
from datetime import datetime, timedelta, timezone

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer


def three_signers():
    return [CryptoSigner.generate_ed25519(), CryptoSigner.generate_ecdsa(), CryptoSigner.generate_rsa()]


def main():
    source, out, owner = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), f"author-{sys.argv[3]}"
    expires = (datetime.now(timezone.utc) + timedelta(days=1)).replace(microsecond=0)
    signers = {role: three_signers() for role in ["root", "targets", owner]}
    signers |= {role: [CryptoSigner.generate_ed25519()] for role in ["snapshot", "timestamp"]}

    root = Root(expires=expires, consistent_snapshot=True)
    for role in ["root", "targets", "snapshot", "timestamp"]:
        for signer in signers[role]:
            root.add_key(signer.public_key, role)
    root.roles["root"].threshold = root.roles["targets"].threshold = 2

    top, author = Targets(expires=expires), Targets(expires=expires)
    for stored in source.glob("**/*"):
        if not stored.is_file():
            continue
        digest, _, name = stored.name.partition(".")
        folder = stored.relative_to(source).parent
        path = f"{folder}/{name}"
        target = TargetFile.from_file(path, str(stored), ["sha256", "sha512"])
        if name == "plugin.wasm":
            target.unrecognized_fields["custom"] = {"abi": "0.1.0"}
        (author if path.startswith("plugins/") else top).targets[path] = target
        copy = out / "targets" / folder / stored.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(stored.read_bytes())
        assert target.hashes["sha256"] == digest, stored
    index = json.loads(next(source.glob("index/*.plugins.json")).read_bytes())
    paths = [f"plugins/{name}/*/*" for name in index["plugins"]]
    top.delegations = Delegations({}, roles={owner: DelegatedRole(owner, [], 2, True, paths)})
    for signer in signers[owner]:
        top.add_key(signer.public_key, owner)

    snapshot = Snapshot(expires=expires, meta={"targets.json": MetaFile(1), f"{owner}.json": MetaFile(1)})
    roles = {"root": root, "targets": top, owner: author, "snapshot": snapshot}
    for role, signed in (roles | {"timestamp": Timestamp(expires=expires)}).items():
        metadata = Metadata(signed)
        # Two of three; of one, the one.
        for signer in signers[role][:2]:
            metadata.sign(signer, append=True)
        name = "timestamp.json" if role == "timestamp" else f"1.{role}.json"
        file = out / "metadata" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(metadata.to_bytes(JSONSerializer()))


main()
