"""A working session of webdav4 and its fsspec file system: DRIVE USER PASSWORD TREE GOT"""

import io
from urllib.parse import quote

from steps import DEEP, DRIVE, FILES, GOT, MANY, NAMES, PASSWORD, TREE, USER, refused, step
from webdav4.client import Client, ResourceAlreadyExists, ResourceNotFound
from webdav4.fsspec import WebdavFileSystem

client = Client(DRIVE, auth=(USER, PASSWORD), verify=False, timeout=60)
fs = WebdavFileSystem(DRIVE, auth=(USER, PASSWORD), verify=False, timeout=60)
GOT.mkdir()


def remote(name):
    """webdav4 puts names into URLs as they are, so these three must be escaped for it."""
    return "tree/" + name.replace("%", "%25").replace("#", "%23").replace("?", "%3F")


step("does not exist", lambda: not client.exists("tree"))
step("mkdir", lambda: client.mkdir("tree"))
step("mkdir again", lambda: refused(lambda: client.mkdir("tree"), ResourceAlreadyExists))
for name in FILES:
    step(f"upload {name}", lambda: client.upload_file(TREE / name, remote(name)))
for folder in DEEP:
    step(f"mkdir {folder}", lambda: client.mkdir(f"tree/{folder}"))
bottom = f"{DEEP[-1]}/bottom.txt"
step("upload deep", lambda: client.upload_file(TREE / bottom, f"tree/{bottom}"))
step("mkdir many", lambda: client.mkdir("tree/many"))


def upload_many():
    for name in MANY:
        client.upload_fileobj(io.BytesIO((TREE / "many" / name).read_bytes()), f"tree/many/{name}")


step("upload many", upload_many)
step("ls", lambda: len(client.ls("tree", detail=False)) == len(NAMES))
step("ls many", lambda: len(client.ls("tree/many", detail=True)) == len(MANY))
step("ls a file", lambda: len(client.ls("tree/empty.bin", detail=False)) == 1)


def download(name):
    client.download_file(remote(name), GOT / "file")
    return (GOT / "file").read_bytes() == (TREE / name).read_bytes()


# It looks the answer up by the name it was given, which it cannot find when that was escaped.
for name in [name for name in FILES if remote(name) == f"tree/{name}"]:
    step(f"download {name}", lambda: download(name))
step("is a folder", lambda: client.isdir("tree") and not client.isfile("tree"))
step("is a file", lambda: client.isfile("tree/empty.bin") and not client.isdir("tree/empty.bin"))
step("size", lambda: client.content_length("tree/big.bin") == (TREE / "big.bin").stat().st_size)
step("empty", lambda: client.content_length("tree/empty.bin") == 0)
step("etag", lambda: bool(client.etag("tree/big.bin")))
step("modified", lambda: client.modified("tree/big.bin") is not None)
step("created", lambda: client.created("tree/big.bin") is not None)
step("type", lambda: client.content_type("tree/two words.txt").startswith("text/plain"))
step("info", lambda: client.info("tree")["type"] == "directory")
step("not found", lambda: refused(lambda: client.info("missing"), ResourceNotFound))
step("write", lambda: client.upload_fileobj(io.BytesIO(b"first"), "note.txt"))
step("overwrite", lambda: client.upload_fileobj(io.BytesIO(b"second"), "note.txt", overwrite=True))
step(
    "keep the old one",
    lambda: refused(lambda: client.upload_fileobj(io.BytesIO(b"third"), "note.txt")),
)
step("move", lambda: client.move("note.txt", "moved.txt"))
step("rename in case only", lambda: client.move("moved.txt", "MOVED.txt"))
step("old name", lambda: not client.exists("moved.txt"))
step("copy", lambda: client.copy("MOVED.txt", "copied.txt"))
step("copy over it", lambda: client.copy("MOVED.txt", "copied.txt", overwrite=True))
step("copy a folder", lambda: client.copy("tree/deep", "copy"))


def read():
    with client.open("copied.txt", mode="r") as file:
        return file.read() == "second"


step("open", read)
step("remove", lambda: client.remove("copied.txt"))
step("remove a folder", lambda: client.remove("copy"))
step("gone", lambda: not client.exists("copy"))


def ranged():
    with fs.open("tree/big.bin", "rb") as file:
        file.seek(1_000_000)
        return file.read(10) == (TREE / "big.bin").read_bytes()[1_000_000:1_000_010]


def write():
    with fs.open("fs/new.txt", "wb") as file:
        file.write(b"through fsspec")
    return fs.cat_file("fs/new.txt") == b"through fsspec"


step("fs ls", lambda: len(fs.ls("tree", detail=False)) == len(NAMES))
step("fs exists", lambda: fs.exists("tree/empty.bin") and not fs.exists("missing"))
step("fs info", lambda: fs.info("tree/big.bin")["size"] == (TREE / "big.bin").stat().st_size)
step("fs is a folder", lambda: fs.isdir("tree") and fs.isfile("tree/empty.bin"))
step("fs ranged read", ranged)
step("fs makedirs", lambda: fs.makedirs("fs/deep/er"))
step("fs write", write)
step("fs find", lambda: len(fs.find("tree/deep")) == 1)
step("fs walk", lambda: len(list(fs.walk("tree/deep"))) == len(DEEP))
step("fs du", lambda: fs.du("tree/deep") == 6)
step("fs checksum", lambda: bool(fs.checksum("tree/big.bin")))
step("fs move", lambda: fs.mv("fs/new.txt", "fs/moved.txt"))
step("fs copy", lambda: fs.cp_file("fs/moved.txt", "fs/copied.txt"))
step("fs get", lambda: fs.get_file("fs/copied.txt", str(GOT / "copied.txt")))
step("fs remove", lambda: fs.rm("fs", recursive=True))
step("wrong password", lambda: refused(lambda: Client(DRIVE, auth=(USER, "x"), verify=False).ls("")))
step("quoted", lambda: client.exists(quote("tree/two words.txt")))
