"""Whole runs with images and run folder in an object store, killed and resumed; compared with local ones."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3
import numpy as np
import pytest
from PIL import Image

from tests import command
from tests.command import Done
from tests.servers import s3_server
from tests.servers.buckets import Bucket
from tests.servers.slow import slow_proxy

ROOT = Path(__file__).parents[1]
HOW = ["--segmenter", "grid", "--rater", "fake", "--rater", "fake:2", "--lambda", "1"]
PART = re.compile(r"(regions|ratings/fake(%3A2)?)/part-\d{5}\.parquet")
IMAGES = 40


def start(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "zeroiqa", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def led(*arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    """What came of a command in a process of its own, which the environment leads elsewhere."""
    process = start(*arguments, **environment)
    out, said = process.communicate()
    return process.returncode, out, said


def zeroiqa(*arguments: str | Path) -> Done:
    return command.zeroiqa(Path.cwd(), *arguments)


def score(*arguments: str | Path) -> str:
    code, out, said = zeroiqa("score", *arguments)
    assert code == 0, said
    return out


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> dict[str, bytes]:
    """Name -> content; one of them is no image."""
    random_pixels = np.random.default_rng(0)
    found = {"bad.png": b"no image"}
    for number in range(IMAGES):
        file = io.BytesIO()
        pixels = random_pixels.integers(0, 256, (64, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file, "PNG")
        found[f"{number:03}.png"] = file.getvalue()
    return found


@pytest.fixture(scope="module")
def local_scores(images, tmp_path_factory) -> str:
    """scores.csv of an uninterrupted run on the disk, in one process."""
    base = tmp_path_factory.mktemp("local")
    (base / "in").mkdir()
    for name, content in images.items():
        (base / "in" / name).write_bytes(content)
    score(base / "in", "-o", base / "run", *HOW)
    return (base / "run/scores.csv").read_text().replace(f"{base}/in/", "")


@pytest.fixture
def filled(bucket, images) -> Bucket:
    """A bucket with the images below in/, which tells how often each object is written."""
    for name, content in images.items():
        bucket.put(f"in/{name}", content)
    return bucket.keep_versions()


def check(bucket: Bucket, run: str, local_scores: str) -> None:
    """The scores are the local ones, each part was written once, and nothing else is there."""
    assert bucket.get(f"{run}/scores.csv").decode().replace(bucket.address("in/"), "") == local_scores
    names = {key.removeprefix(f"{run}/"): count for key, count in bucket.versions(f"{run}/").items()}
    assert {count for name, count in names.items() if PART.fullmatch(name)} == {1}
    others = {name for name in names if not PART.fullmatch(name) and not name.startswith("events/")}
    assert others == {"run.json", "plan.parquet", "scores.csv", "scores.parquet"}
    assert bucket.unfinished() == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_run_is_resumed_and_equals_the_local_one(filled, local_scores, workers):
    arguments = ["score", filled.address("in"), "-o", filled.address("run"), *HOW, "--workers", workers]
    for wanted in (1, 3):
        process = start(*arguments)
        while process.poll() is None and len(filled.names("run/ratings/fake%3A2/")) < wanted:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert "run/scores.csv" not in filled.names()
    score(*arguments[1:])
    check(filled, "run", local_scores)
    assert len(filled.names("run/ratings/fake%3A2/")) > 3


def test_two_processes_may_do_the_same_run_at_once(filled, local_scores):
    arguments = ["score", filled.address("in"), "-o", filled.address("run"), *HOW]
    for process in [start(*arguments), start(*arguments)]:
        _, said = process.communicate()
        assert process.returncode == 0, said
    check(filled, "run", local_scores)


def test_every_command_reads_a_run_that_is_in_a_store(bucket, images, tmp_path):
    names = sorted(images)[:9]
    for name in names:
        bucket.put(f"in/{name}", images[name])
        (tmp_path / name).write_bytes(images[name])
    run = bucket.address("deep/run 1")
    score(bucket.address("in"), "-o", run, *HOW)
    code, out, said = zeroiqa("status", run)
    assert code == 0 and f"{len(names)} of {len(names)} images scored" in out, said
    assert re.search(rf"-\d+ +4 +{len(names)} ", out)  # the worker, from one event for each shard
    assert len(bucket.names("deep/run 1/events/")) == 4
    code, out, said = zeroiqa("verify", run)
    assert (code, out.count("the log has the SHA-256 of 4")) == (0, 3), said
    assert zeroiqa("rescore", run, "--lambda", "0", "-o", bucket.address("rescored.csv"))[0] == 0
    assert bucket.get("rescored.csv").count(b"\n") == len(names) + 1
    (tmp_path / "mos.csv").write_text(
        "image,mos\n" + "".join(f"{name},{number % 5 + 1}\n" for number, name in enumerate(names))
    )
    copies = ("--mos", tmp_path / "mos.csv", "--by-name")  # of the images in the store
    code, out, said = zeroiqa("evaluate", run, *copies, "--resamples", "0")
    assert code == 0 and "SRCC" in out, said
    code, out, said = zeroiqa(
        "segment", bucket.address("in"), "-o", bucket.address("cut"), "--segmenter", "grid"
    )
    assert code == 0, said
    assert {"cut/regions.parquet", "cut/coco.json", "cut/overlays/00000-000.jpg"} <= set(bucket.names("cut/"))
    bucket.put("in/new.png", images["000.png"])
    bucket.client.delete_object(Bucket=bucket.name, Key=f"in/{names[-1]}")
    code, _, said = zeroiqa("score", bucket.address("in/"), "-o", run, *HOW)
    assert code == 0 and f"1 image is new in {run}, which has 10 now; 1 image is gone" in said
    assert f"in/{names[-1]},,".encode() in bucket.get("deep/run 1/scores.csv")
    code, _, said = zeroiqa("score", bucket.address("in"), "-o", run, *HOW[:4])
    assert (code, said.startswith(f"Error: {run} holds a run with other settings")) == (1, True)


def test_a_run_of_a_newer_version_is_refused_and_left_alone(bucket, images):
    bucket.put("in/a.png", images["000.png"])
    record = json.dumps({"format": 99, "zeroiqa": "9.0"}).encode()
    bucket.put("run/run.json", record)
    for given in (["status"], ["score", bucket.address("in"), "-o"]):
        code, _, said = zeroiqa(*given, bucket.address("run"))
        assert code == 1
        assert f"{bucket.address('run')} was written by zeroiqa 9.0 (format 99)" in said.splitlines()[-1]
    assert bucket.names("run/") == ["run/run.json"] and bucket.get("run/run.json") == record


def test_folders_that_cannot_be_runs_are_refused(bucket, images):
    bucket.put("in/a.png", images["000.png"])
    for folder, sentence in {
        bucket.address("in"): f"{bucket.address('in')} holds other files (first: a.png)",
        bucket.address("in/a.png"): f"{bucket.address('in/a.png')} is a file",
        "s3://no-such-bucket/run": "The bucket s3://no-such-bucket does not exist",
    }.items():
        code, _, said = zeroiqa("score", bucket.address("in"), "-o", folder, "--rater", "fake")
        assert code == 1 and said.splitlines()[-1].startswith(f"Error: {sentence}"), said


def test_images_that_changed_or_went_since_the_plan_are_rows_with_an_error(bucket, images):
    for number in range(3):
        bucket.put(f"in/{number}.png", images["000.png"])
    arguments = [bucket.address("in"), "-o", bucket.address("run"), "--segmenter", "grid", "--rater", "fake"]
    score(*arguments, "--plan-only")
    bucket.put("in/1.png", images["001.png"] + b"\0")
    bucket.client.delete_object(Bucket=bucket.name, Key="in/2.png")
    score("-o", bucket.address("run"))
    rows = bucket.get("run/scores.csv").decode().splitlines()
    assert len(rows) == 4 and ",ok," in rows[1]
    size = len(images["001.png"])
    assert f"1.png has changed: it has {size + 1} bytes and had {len(images['000.png'])} when" in rows[2]
    assert "2.png does not exist." in rows[3]


def test_images_of_a_store_are_read_many_at_once(filled, local_scores, tmp_path):
    with slow_proxy(os.environ["AWS_ENDPOINT_URL"], delay=0.05) as proxy:
        how = [filled.address("in"), "-o", tmp_path / "run", *HOW, "--workers", "1"]
        code, _, said = led("score", *how, AWS_ENDPOINT_URL=proxy.address)
        assert code == 0, said
    scores = (tmp_path / "run/scores.csv").read_text()
    assert scores.replace(filled.address("in/"), "") == local_scores
    assert proxy.most_waiting >= 8


def test_an_object_that_never_comes_is_an_error_row_and_the_others_are_scored(bucket, images, tmp_path):
    for name in list(images)[1:6]:
        bucket.put(f"in/{name}", images[name])
    bucket.put("in/stuck.png", images["000.png"])
    with slow_proxy(
        os.environ["AWS_ENDPOINT_URL"], delay=0, stuck=f"GET /{bucket.name}/in/stuck".encode()
    ) as proxy:
        how = [bucket.address("in"), "-o", tmp_path / "run", *HOW, "--workers", "1"]
        code, _, said = led("score", *how, "--image-seconds", "2", AWS_ENDPOINT_URL=proxy.address)
    assert code == 0, said
    assert "6 images, 1 with an error" in said
    rows = (tmp_path / "run/scores.csv").read_text().splitlines()
    assert "in/stuck.png took longer than 2 s to be read and decoded (--image-seconds); " in rows[-1]


# ---------------------------------------------------------------------------------- a store that refuses


def refusing(environment: dict[str, str], policy: list[dict[str, object]]) -> dict[str, str]:
    """Credentials of a user who may do what the policy says; from now on the server insists on them."""
    iam = boto3.client("iam")
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    document = json.dumps({"Version": "2012-10-17", "Statement": policy})
    iam.put_user_policy(UserName="reader", PolicyName="some", PolicyDocument=document)
    urllib.request.urlopen(
        urllib.request.Request(
            f"{environment['AWS_ENDPOINT_URL']}/moto-api/reset-auth",
            b"0",
            {"Content-Type": "text/plain"},
            method="POST",
        )
    ).close()
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def test_lost_permission_stops_the_run_and_loses_nothing(images, monkeypatch, tmp_path):
    with s3_server() as environment:  # its own: from the first refusal on, it knows no other users
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        bucket = Bucket.create()
        for number in range(3):
            bucket.put(f"in/{number}.png", images["000.png"])
        how = ["--segmenter", "grid", "--rater", "fake", "-o"]
        assert led("score", bucket.address("in"), *how, bucket.address("run"))[0] == 0
        before = bucket.names()
        reading = [{"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"}]
        user = refusing(environment, reading)

        code, _, said = led("score", bucket.address("in"), *how, bucket.address("run2"), **user)
        assert code == 1
        assert f"Error: {bucket.address('run2/run.json')} is refused (access denied); check" in said

        wrong = {"AWS_ACCESS_KEY_ID": "AKIAWRONG", "AWS_SECRET_ACCESS_KEY": "wrong"}
        code, _, said = led("score", bucket.address("in"), *how, tmp_path / "run", **wrong)
        assert code == 1 and "refused" in said and "the credentials" in said
        assert len(said.splitlines()) <= 2

        code, _, said = led("score", bucket.address("in"), *how, tmp_path / "run", **user)
        assert code == 0 and "3 images, 0 with an error" in said

        (tmp_path / "list.txt").write_text("\n".join(bucket.address(f"in/{n}.png") for n in range(3)))
        code, _, said = led("score", tmp_path / "list.txt", *how, tmp_path / "run3", **wrong)
        assert code == 1 and "refused" in said
        assert not list((tmp_path / "run3").rglob("part-*"))  # no rows of errors: the images are all right

        reader = boto3.client(
            "s3",
            aws_access_key_id=user["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=user["AWS_SECRET_ACCESS_KEY"],
        )
        assert Bucket(bucket.name, reader).names() == before
