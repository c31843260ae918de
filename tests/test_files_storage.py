"""Files in object stores, over a real S3 server: names, listings, creation exactly once, what is refused."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zeroiqa.errors import UserError
from zeroiqa.files import storage
from zeroiqa.files.atomic import created, replaced
from zeroiqa.files.storage import RemotePath, explained, location

ROOT = Path(__file__).parents[1]


@pytest.fixture
def place(bucket) -> RemotePath:
    return RemotePath("s3", bucket.name)


def test_addresses_and_paths_are_told_apart():
    assert location("photos/a.jpg") == Path("photos/a.jpg")
    assert location(Path("s3:/b")) == Path("s3:/b")
    assert location("file:///tmp/a%20b") == Path("/tmp/a b")
    assert location("s3://b/runs/1/") == RemotePath("s3", "b/runs/1")
    assert location("gs://b") == RemotePath("gs", "b")
    assert str(location("s3://b/ä ö%20#?.jpg")) == "s3://b/ä ö%20#?.jpg"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("s3://", "s3:// names no bucket; write s3://BUCKET/FOLDER"),
        ("gs:///x", "names no bucket"),
        ("s3://b/x//y", "has an empty part"),
        ("https://host/x", "https:// is not read or written; give a path, s3:// or gs://"),
    ],
)
def test_what_is_no_address_is_refused(text, sentence):
    with pytest.raises(UserError, match=sentence):
        location(text)


def test_names_are_taken_apart_as_paths_are():
    path = RemotePath("s3", "b/runs/x.tar.gz")
    twin = Path("b/runs/x.tar.gz")
    for part in ("name", "stem", "suffix"):
        assert getattr(path, part) == getattr(twin, part)
    assert path.parent / "y" == path.with_name("y") == RemotePath("s3", "b/runs/y")
    assert path / "../z" == RemotePath("s3", "b/runs/z")
    assert path.top.parent == path.top
    assert pickle.loads(pickle.dumps(path)) == path and hash(path) == hash(RemotePath("s3", path.key))


def test_a_folder_is_there_as_long_as_something_is_in_it(bucket, place):
    folder = place / "run"
    assert not folder.exists() and list(folder.glob("*")) == list(folder.rglob("*")) == []
    folder.mkdir(parents=True, exist_ok=True)
    assert not folder.exists()
    bucket.put("run/a/1.txt", b"one")
    assert folder.exists() and folder.is_dir() and not folder.is_file()
    assert (folder / "a/1.txt").is_file() and (folder / "a/1.txt").read_text() == "one"
    (folder / "a/1.txt").unlink()
    (folder / "a/1.txt").unlink(missing_ok=True)
    assert not folder.exists() and bucket.names() == []


def test_listings_have_the_order_of_bytes_and_pages_do_not_show(bucket, place):
    names = [f"n/{number:04}.jpg" for number in range(1005)]
    extra = ["n/B.jpg", "n/a-b.jpg", "n/a/b.jpg", "n/ä ö%20+#?.jpg"]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: bucket.put(name, b"12345"), names + extra))
    found = list((place / "n").objects())
    assert [entry.path.key.partition("/")[2] for entry in found] == sorted(names + extra, key=os.fsencode)
    assert {entry.bytes for entry in found} == {5}
    assert (place / extra[-1]).read_bytes() == b"12345"
    assert sorted(path.name for path in (place / "n").iterdir())[-2:] == ["a-b.jpg", "ä ö%20+#?.jpg"]
    assert sorted(path.name for path in (place / "n").glob("a*")) == ["a", "a-b.jpg"]
    assert [path.name for path in (place / "n").rglob("b*")] == ["b.jpg"]


def test_of_many_creators_exactly_one_wins(bucket, place):
    bucket.keep_versions()

    def create(number: int) -> None:
        with created(place / "parts/one") as file:
            file.write(b"%d" % number * 1000)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(create, range(8)))
    assert bucket.versions() == {"parts/one": 1}
    content = bucket.get("parts/one")
    assert content == content[:1] * 1000


def test_creation_leaves_what_is_there_and_replacement_does_not(bucket, place):
    for word in (b"first", b"second"):
        with created(place / "a") as file:
            file.write(word)
        with replaced(place / "b") as file:
            file.write(word)
    assert (bucket.get("a"), bucket.get("b")) == (b"first", b"second")


def test_nothing_is_sent_when_the_block_raises(bucket, place):
    for write in (created, replaced):
        with pytest.raises(ZeroDivisionError), write(place / "a") as file:
            file.write(b"x" * 100)
            raise ZeroDivisionError
    assert bucket.names() == []


def test_large_content_is_sent_in_pieces_or_given_up_as_a_whole(bucket, place, monkeypatch):
    monkeypatch.setattr(storage, "_ONE_REQUEST", 5 << 20)  # the smallest that S3 takes
    content = os.urandom(12 << 20)
    (place / "large").upload(io.BytesIO(content), exclusive=False)
    assert bucket.get("large") == content

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 6 << 20:
                raise OSError("the disk has gone")
            return super().read(size)

    with pytest.raises(OSError, match="the disk has gone"):
        (place / "broken").upload(Broken(content), exclusive=False)
    assert bucket.names() == ["large"] and bucket.unfinished() == []


def test_an_empty_object_is_created(bucket, place):
    for write in (created, replaced):
        with write(place / write.__name__):
            pass
    assert [bucket.get(key) for key in bucket.names()] == [b"", b""]


def test_a_missing_object_is_what_it_is_on_the_disk(place):
    for attempt in (place / "none").open, (place / "none").read_bytes, (place / "none").objects:
        with pytest.raises(FileNotFoundError):
            attempt()
    assert list(place.objects()) == []


def test_a_bucket_that_does_not_exist_is_named(bucket):
    gone = RemotePath("s3", "no-such-bucket/runs/1")
    sentence = "The bucket s3://no-such-bucket does not exist; create it"
    with pytest.raises(UserError, match=sentence), created(gone / "run.json") as file:
        file.write(b"{}")
    with pytest.raises(UserError, match=sentence):
        list(gone.objects())
    assert not gone.exists()


def attempts(*wanted: str, **environment: str | None) -> list[str]:
    """What listing, reading and writing say in a process of its own."""
    code = """
import io, sys
from zeroiqa.errors import UserError
from zeroiqa.files.storage import location
place = location(sys.argv[1])
attempts = {
    "list": lambda: list(place.objects()),
    "read": (place / "a").read_bytes,
    "write": lambda: (place / "b").upload(io.BytesIO(b"1"), exclusive=True),
}
for name in sys.argv[2:] or attempts:
    try:
        print(attempts[name]())
    except UserError as error:
        print(type(error).__name__, error)
"""
    changed = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, "-c", code, str(changed.pop("PLACE")), *wanted],
        env={name: value for name, value in changed.items() if value is not None},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_missing_credentials_are_said(bucket):
    bucket.put("in/a", b"1")
    said = attempts(PLACE=bucket.address("in"), AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert said[-1] == (
        f"UserError s3://{bucket.name}/in/b needs credentials and none are found; set the credentials "
        "(AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)."
    )


def test_a_store_that_is_not_there_is_said(bucket):
    said = attempts("list", PLACE=bucket.address("in"), AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert "cannot be reached: there is no connection to the store; check the network" in said[0]


def test_without_the_extra_writing_says_what_to_install(bucket):
    code = """
import io, sys
sys.modules["s3fs"] = None
from zeroiqa.files.storage import location
location(sys.argv[1]).upload(io.BytesIO(b"1"), exclusive=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, bucket.address("x")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stderr.rstrip().endswith("Writing to s3:// needs s3fs; pip install 'zeroiqa[cloud]'.")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("AWS Error ACCESS_DENIED during HeadObject operation: No response body.", "access denied"),
        ("AWS Error EXPIRED_TOKEN during ListObjectsV2", "wrong or have expired"),
        ("google::cloud::Status(PERMISSION_DENIED: Permission denied)", "access denied"),
        ("google::cloud::Status(UNAUTHENTICATED: no token)", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("google::cloud::Status(UNAVAILABLE: down)", "no connection to the store; check the network, then"),
        ("google::cloud::Status(UNAVAILABLE: Could not create a OAuth2 access token", "needs credentials"),
        ("google::cloud::Status(NOT_FOUND: retry.function=ListObjects", "The bucket gs://b does not exist"),
        (
            'botocore.EndpointConnectionError: Could not connect to the endpoint URL: "http://h/"',
            "the network",
        ),
        ("AWS Error SOMETHING_NEW during PutObject", r"cannot be reached \(OSError AWS Error SOMETHING_NEW"),
    ],
)
def test_what_stores_say_is_told_as_one_sentence(said, sentence):
    path = RemotePath("gs" if "google" in said else "s3", "b/x")
    told = explained(OSError(said), path)
    assert isinstance(told, UserError)
    with pytest.raises(UserError, match=sentence):
        raise told


def test_what_no_store_has_said_stays_as_it_is():
    error = OSError("Couldn't deserialize thrift: no more data to read")
    assert explained(error, RemotePath("s3", "b/x")) is error
    gone = FileNotFoundError("google::cloud::Status(NOT_FOUND: retry.function=GetObjectMetadata")
    assert explained(gone, RemotePath("gs", "b/x")) is gone
