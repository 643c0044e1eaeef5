"""A working session of webdavclient3: DRIVE USER PASSWORD TREE GOT"""

import io
from urllib.parse import urlsplit

from steps import DEEP, DRIVE, FILES, GOT, MANY, NAMES, PASSWORD, TREE, USER, refused, step
from webdav3.client import Client
from webdav3.exceptions import RemoteResourceNotFound


# A client that holds a lock is another object, and must not ask for a certificate either.
Client.verify = False


def connect(password):
    # It compares what is listed with the root it knows, so that must be told from the host.
    url = urlsplit(DRIVE)
    return Client(
        {
            "webdav_hostname": f"{url.scheme}://{url.netloc}",
            "webdav_root": url.path,
            "webdav_login": USER,
            "webdav_password": password,
        }
    )


client = connect(PASSWORD)
GOT.mkdir()
step("check the drive", lambda: client.check())
step("does not exist", lambda: not client.check("tree"))
step("mkdir", lambda: client.mkdir("tree"))
for name in FILES:
    step(f"upload {name}", lambda: client.upload_sync(f"tree/{name}", str(TREE / name)))
for folder in DEEP:
    step(f"mkdir {folder}", lambda: client.mkdir(f"tree/{folder}"))
bottom = f"{DEEP[-1]}/bottom.txt"
step("upload deep", lambda: client.upload_sync(f"tree/{bottom}", str(TREE / bottom)))
step("upload a folder", lambda: client.upload_sync("tree/many", str(TREE / "many")))


def listed():
    names = sorted(name.rstrip("/") for name in client.list("tree"))
    return names == NAMES or f"{names} instead of {NAMES}"


step("list", listed)
step("list many", lambda: len(client.list("tree/many")) == len(MANY))
step("list with details", lambda: len(client.list("tree", get_info=True)) == len(NAMES))


def download(name):
    client.download_sync(f"tree/{name}", str(GOT / "file"))
    return (GOT / "file").read_bytes() == (TREE / name).read_bytes()


for name in FILES:
    step(f"download {name}", lambda: download(name))


def download_folder():
    client.download_sync("tree/deep", str(GOT / "deep"))
    return (GOT / bottom).read_bytes() == b"bottom"


step("download a folder", download_folder)
step("check a file", lambda: client.check("tree/empty.bin"))
step("check a folder", lambda: client.check("tree/deep"))
step("is a folder", lambda: client.is_dir("tree") and not client.is_dir("tree/empty.bin"))
step("size", lambda: client.info("tree/big.bin")["size"] == str((TREE / "big.bin").stat().st_size))
step("etag", lambda: bool(client.info("tree/big.bin")["etag"]))
step("modified", lambda: bool(client.info("tree/big.bin")["modified"]))
step("created", lambda: bool(client.info("tree/big.bin")["created"]))
step("not found", lambda: refused(lambda: client.info("missing"), RemoteResourceNotFound))
step("upload from memory", lambda: client.upload_to(io.BytesIO(b"first"), "note.txt"))
step("overwrite", lambda: client.upload_to(io.BytesIO(b"second"), "note.txt"))
step("move", lambda: client.move("note.txt", "moved.txt"))
step("rename in case only", lambda: client.move("moved.txt", "MOVED.txt"))
step("old name", lambda: not client.check("moved.txt"))
step("copy", lambda: client.copy("MOVED.txt", "copied #1.txt"))


def read():
    buffer = io.BytesIO()
    client.download_from(buffer, "copied #1.txt")
    return buffer.getvalue() == b"second"


colour = {"namespace": "urn:example", "name": "colour"}
step("read the copy", read)
step("copy a folder", lambda: client.copy("tree/deep", "copy", depth="infinity"))
step("set a property", lambda: client.set_property("MOVED.txt", {**colour, "value": "blue"}))
step("get a property", lambda: client.get_property("MOVED.txt", colour) == "blue")
step("free space", lambda: int(client.free()) > 0)


def lock():
    with client.lock("MOVED.txt", timeout=300) as locked:
        kept = refused(lambda: connect(PASSWORD).upload_to(io.BytesIO(b"other"), "MOVED.txt"))
        locked.upload_to(io.BytesIO(b"under the lock"), "MOVED.txt")
    client.upload_to(io.BytesIO(b"after the lock"), "MOVED.txt")
    return kept


step("lock", lock)
step("delete", lambda: client.clean("MOVED.txt"))
step("delete a folder", lambda: client.clean("copy"))
step("gone", lambda: not client.check("copy"))
step("wrong password", lambda: refused(lambda: connect("x").list()))
