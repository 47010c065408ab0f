# SPDX-License-Identifier: Apache-2.0
"""The files of a glTF document: ``.glb``, or JSON with its buffers and images beside it or in data URIs."""

import base64
import json
import os
import struct
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from patina3d.io.files import PathManager, folder_of, is_path, manager_beside, read_file
from patina3d.io.gltf.document import Entry

__all__ = ["Container", "glb_bytes", "glb_header", "open_container"]

_MAGIC = b"glTF"
_HEADER = struct.Struct("<4sII")
_CHUNK = struct.Struct("<I4s")
_JSON, _BIN = b"JSON", b"BIN\0"

_HARMLESS = (
    "EXT_lights_",
    "EXT_texture_webp",
    "KHR_animation_",
    "KHR_audio",
    "KHR_lights_",
    "KHR_materials_",
    "KHR_mesh_quantization",
    "KHR_node_visibility",
    "KHR_texture_transform",
    "KHR_xmp",
)
"""Extensions without which a mesh, its coordinates and its base colour are still read right."""


class Container:
    """A glTF document and the bytes that it refers to.

    Attributes:
        document: the whole JSON object.
        source: name of the file.
    """

    def __init__(self, document: Entry, binary: bytes | None, folder: str | None, manager: PathManager | None) -> None:
        self.document = document
        self.source = document.source
        self._binary = binary
        self._folder = folder
        self._manager = manager
        self._buffers: dict[int, bytes] = {}

    def view(self, entry: Entry, key: str = "bufferView") -> tuple[Entry, memoryview]:
        """The buffer view that ``entry`` names, and its bytes."""
        index = entry.integer(key, below=self.document.count("bufferViews"))
        view = self.document.element("bufferViews", index)
        data = self._buffer(view.integer("buffer", below=self.document.count("buffers")))
        start, length = view.integer("byteOffset", 0), view.integer("byteLength")
        if start + length > len(data):
            raise view.error(f"ends at byte {start + length} of a buffer of {len(data)}")
        return view, memoryview(data)[start : start + length]

    def size(self) -> int:
        """The number of bytes that all buffers have, which are read: what the document says may be false."""
        return sum(len(self._buffer(index)) for index in range(self.document.count("buffers")))

    def _buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            buffer = self.document.element("buffers", index)
            if "uri" in buffer:
                data = self.resource(buffer)
            elif index == 0 and self._binary is not None:
                data = self._binary
            else:
                raise buffer.error("has no uri, and the file has no BIN chunk for it")
            length = buffer.integer("byteLength")
            if length > len(data):
                raise buffer.error(f"must have {length} bytes, got {len(data)}")
            self._buffers[index] = data[:length]
        return self._buffers[index]

    def resource(self, entry: Entry) -> bytes:
        """What the ``uri`` of a buffer or an image stands for.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: a damaged data URI, a URI that is not relative, or no name of a file that can be read, or a
                document that comes from a stream, which has no folder.
        """
        uri = entry.text("uri")
        if uri[:5].lower() == "data:":
            kind, comma, payload = uri[5:].partition(",")
            if not comma:
                raise entry.error("its data URI has no comma")
            try:
                is_base64 = kind.lower().endswith(";base64")
                return base64.b64decode(payload, validate=True) if is_base64 else unquote_to_bytes(payload)
            except ValueError as error:
                raise entry.error(f"its data URI is damaged: {error}") from error
        try:
            name = os.fsdecode(unquote_to_bytes(uri))
            relative = not urlsplit(uri).scheme and not os.path.isabs(name) and "\0" not in name
        except ValueError:
            name, relative = "", False
        if not relative:
            raise entry.error(f"uri must be relative to the file, got {uri[:60]!r}")
        if self._folder is None:
            raise entry.error(f"its uri {uri[:60]!r} names a file beside this one, but a stream has no folder")
        try:
            return read_file("load_meshes", self._folder + name, self._manager).data
        except FileNotFoundError:
            raise
        except OSError as error:
            raise entry.error(f"its uri {uri[:60]!r} cannot be read: {error.strerror}") from error


def open_container(path: Any, path_manager: PathManager | None) -> Container:
    """Read a ``.glb`` or ``.gltf`` file: which of the two, its first bytes say.

    Args:
        path: a path, or an open stream.
        path_manager: opens ``path``, and the files beside it, where it is a ``str``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not glTF 2, a damaged container or document, or a required extension that is not known here.
    """
    data, source, _ = read_file("load_meshes", path, path_manager)
    text, binary = _chunks(data, source) if data.startswith(_MAGIC) else (data, None)
    document = Entry(_parsed(text, source), "", source)
    _check_version_and_extensions(document)
    folder = folder_of(path) if is_path(path) else None
    return Container(document, binary, folder, manager_beside(path, path_manager))


def _chunks(data: bytes, source: str) -> tuple[bytes, bytes | None]:
    where = f"load_meshes: {source}"
    header = glb_header(data)
    if header is None:
        raise ValueError(f"{where}: the header must have {_HEADER.size} bytes, got {len(data)}")
    version, length = header
    if version != 2:
        raise ValueError(f"{where}: only version 2 of glTF is read, got {version}")
    if length > len(data):
        raise ValueError(f"{where}: the file must have {length} bytes, as its header says, got {len(data)}")
    found: dict[bytes, bytes] = {}
    start, number = _HEADER.size, 0
    while start < length:
        if start + _CHUNK.size > length:
            raise ValueError(f"{where}: chunk {number}: the file ends inside its header")
        size, kind = _CHUNK.unpack_from(data, start)
        start += _CHUNK.size
        if start + size > length:
            raise ValueError(f"{where}: chunk {number} must have {size} bytes, but the file has {length - start}")
        if number == 0 and kind != _JSON:
            raise ValueError(f"{where}: chunk 0 must be JSON, got {kind!r}")
        found.setdefault(kind, data[start : start + size])
        start, number = start + size, number + 1
    if _JSON not in found:
        raise ValueError(f"{where}: there is no JSON chunk")
    return found[_JSON], found.get(_BIN)


def _parsed(text: bytes, source: str) -> Any:
    try:
        return json.loads(text.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError(f"load_meshes: {source}: the JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"load_meshes: {source}: neither a glb file nor JSON: {error}") from error


def _check_version_and_extensions(document: Entry) -> None:
    asset = document.entry("asset")
    version = asset.text("version", "2.0") if asset is not None else "2.0"
    if version.split(".")[0] != "2":
        raise document.error(f"only version 2 of glTF is read, got {version!r}")
    for name in document.strings("extensionsRequired"):
        if not name.startswith(_HARMLESS):
            raise document.error(f"needs the extension {name}, which is not read; export it without")


def glb_header(data: bytes) -> tuple[int, int] | None:
    """Version and length, in bytes, that the beginning of a ``.glb`` file gives; None where it is no such file."""
    if not data.startswith(_MAGIC) or len(data) < _HEADER.size:
        return None
    _, version, length = _HEADER.unpack_from(data)
    return version, length


def glb_bytes(document: bytes, binary: bytes) -> bytes:
    """A ``.glb`` file of a JSON document and its buffer; without the second chunk where the buffer is empty."""
    chunks = b""
    for kind, data, padding in ((_JSON, document, b" "), (_BIN, binary, b"\0")):
        if data:
            data += padding * (-len(data) % 4)
            chunks += _CHUNK.pack(len(data), kind) + data
    return _HEADER.pack(_MAGIC, 2, _HEADER.size + len(chunks)) + chunks
