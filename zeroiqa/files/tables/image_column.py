"""Which column of a table in Arrow's types is the image: a column of paths, or one of the files' bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from zeroiqa.errors import UserError, printable
from zeroiqa.files.tables.columns import IMAGE_COLUMNS, first_names, names_images

if TYPE_CHECKING:
    import pyarrow as pa

Kind: TypeAlias = Literal["paths", "bytes", "struct"]
_BYTES, _PATH = "bytes", "path"
"""The fields of the struct that Hugging Face `datasets` stores an image as."""


class ImageColumn(NamedTuple):
    """The column whose values are the images."""

    name: str
    kind: Kind
    """Text that is a path; the bytes of a file; or the hub's struct of both, either of which may be null."""
    beside: tuple[str, ...] = ()
    """Columns of paths that are passed over, for another one has the files themselves."""


def image_column(schema: pa.Schema, shown: str, wanted: str | None = None) -> ImageColumn:
    """The one column that holds the images.

    A struct of bytes and path counts whatever its name, as the hub has it; bytes and paths count where their
    column has one of `IMAGE_COLUMNS`, in any spelling. The files themselves go before their paths.

    Args:
        schema: Of the table.
        shown: The table, for a message.
        wanted: The column's name, where the caller says it.

    Raises:
        UserError: there is none, there are several, or the wanted one is missing or holds no images.
    """
    if wanted is not None:
        return _wanted(schema, shown, wanted)
    found = list(_candidates(schema))
    files = [column for column in found if column.kind != "paths"]
    paths = [column for column in found if column.kind == "paths"]
    fitting = files or paths
    if len(fitting) > 1:
        names = " and ".join(printable(column.name) for column in fitting[:5])
        raise UserError(
            f"{shown} has {len(fitting)} columns that could be the image, {names}; say which is, with "
            "--image-column NAME (Python: image_column)."
        )
    if not fitting:
        columns = first_names(schema.names) or "none"
        raise UserError(
            f"{shown} has no column of images; its columns are {columns}; name one of paths or bytes "
            f"{', '.join(IMAGE_COLUMNS[:3])}, or say which it is, with --image-column NAME (Python: "
            "image_column)."
        )
    return fitting[0]._replace(beside=tuple(column.name for column in paths if files))


def _candidates(schema: pa.Schema) -> Iterator[ImageColumn]:
    for field in schema:
        kind = kind_of(field.type)
        if kind is not None and (kind == "struct" or names_images(field.name)):
            yield ImageColumn(field.name, kind)


def _wanted(schema: pa.Schema, shown: str, name: str) -> ImageColumn:
    places = schema.get_all_field_indices(name)
    if len(places) != 1:
        columns = first_names(schema.names) or "none"
        what = "no column" if not places else f"{len(places)} columns called"
        raise UserError(f"{shown} has {what} {printable(name)}; its columns are {columns}.")
    kind = kind_of(schema.field(places[0]).type)
    if kind is None:
        raise UserError(
            f"{shown} has the column {printable(name)} of type {schema.field(places[0]).type}, which holds "
            "no images; name a column of paths, of bytes or of the struct of bytes and path."
        )
    return ImageColumn(name, kind)


def kind_of(kind: pa.DataType) -> Kind | None:
    """What the values of an Arrow type are as images; None where they cannot be any."""
    import pyarrow as pa

    if isinstance(kind, pa.DictionaryType):
        kind = kind.value_type
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if _is_text(kind):
        return "paths"
    if _is_bytes(kind):
        return "bytes"
    if isinstance(kind, pa.StructType):
        fields = {kind.field(place).name: kind.field(place).type for place in range(kind.num_fields)}
        if _BYTES in fields and _is_bytes(fields[_BYTES]):
            path = fields.get(_PATH)
            return "struct" if path is None or _is_text(path) or pa.types.is_null(path) else None
    return None


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )
