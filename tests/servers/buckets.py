"""A bucket seen by the provider's own client, not by what is tested."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_NUMBERS = itertools.count()


@dataclass
class Bucket:
    """An S3 bucket."""

    name: str
    client: Any = field(repr=False)

    @classmethod
    def create(cls) -> Bucket:
        import boto3

        client = boto3.client("s3")
        name = f"bucket-{next(_NUMBERS)}"
        client.create_bucket(Bucket=name)
        return cls(name, client)

    def keep_versions(self) -> Bucket:
        """Let `versions` tell from now on how often each object is written."""
        self.client.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})
        return self

    def address(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def put(self, key: str, content: bytes) -> str:
        self.client.put_object(Bucket=self.name, Key=key, Body=content)
        return self.address(key)

    def get(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=self.name, Key=key)["Body"].read())

    def names(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def versions(self, prefix: str = "") -> Counter[str]:
        """How often each object has been written."""
        pages = self.client.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix=prefix)
        return Counter(entry["Key"] for page in pages for entry in page.get("Versions", []))

    def unfinished(self) -> list[Any]:
        """Uploads in pieces that were never completed."""
        return list(self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", []))
