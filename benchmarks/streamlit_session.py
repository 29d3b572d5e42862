"""A visitor of a Streamlit app without a browser: its websocket, its widgets, its uploads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx
from google.protobuf.message import Message
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import connect


class Session:
    """One visitor. What the page shows after a run is in `elements`, in page order."""

    def __init__(self, address: str, *, patience_s: float = 60.0) -> None:
        """Connect to an app, `http://127.0.0.1:8501` for one; nothing runs yet."""
        self._address = address
        self._patience_s = patience_s
        self._socket = connect(
            address.replace("http", "ws", 1) + "/_stcore/stream",
            subprotocols=["streamlit"],  # type: ignore[list-item]
            max_size=None,
            open_timeout=patience_s,
        )
        self._http = httpx.Client(base_url=address, timeout=patience_s)
        self._http.get("/_stcore/health").raise_for_status()  # gives the cookie that uploads need
        self._http.headers["X-Xsrftoken"] = str(self._http.cookies["_streamlit_xsrf"])
        self._widgets: dict[str, WidgetState] = {}
        self._page_hash = self._page_name = self._query = ""
        self._session_id = ""
        self.elements: dict[tuple[int, ...], Message] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
        self._http.close()

    def open(self, page: str = "", query: str = "") -> None:
        """Go to a page by its path and run it."""
        self._widgets.clear()
        self._page_hash, self._page_name, self._query = "", page, query
        self.run()

    def run(self) -> None:
        """Run the page with the widgets as they are set, until it has finished."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_name = self._query, self._page_name
        state.page_script_hash = self._page_hash
        state.widget_states.widgets.extend(self._widgets.values())
        self._socket.send(message.SerializeToString())
        self._receive(lambda received: received.WhichOneof("type") == "script_finished")
        for name in [name for name, widget in self._widgets.items() if _is_trigger(widget)]:
            del self._widgets[name]

    def find(self, kind: str, label: str = "") -> Message:
        """The first element of a kind, a proto field name, whose label holds `label`."""
        for element in self.all(kind):
            if label in getattr(element, "label", ""):
                return element
        raise LookupError(f"the page {self._page_name!r} shows no {kind} {label!r}")

    def all(self, kind: str) -> Iterator[Any]:
        """All elements of a kind."""
        for _, element in sorted(self.elements.items()):
            if element.WhichOneof("type") == kind:
                yield getattr(element, kind)

    def set(self, widget: Any, **value: Any) -> None:
        """Give a widget a value, `string_value="cats"` for one; it counts from the next run on."""
        self._widgets[widget.id] = WidgetState(id=widget.id, **value)

    def upload(self, uploader: Any, files: list[Path]) -> None:
        """Put files into an uploader, in place of those it held."""
        message = BackMsg()
        request = message.file_urls_request
        request.request_id = uuid4().hex
        request.session_id = self._session_id
        request.file_names.extend(file.name for file in files)
        self._socket.send(message.SerializeToString())
        answer = self._receive(
            lambda received: received.WhichOneof("type") == "file_urls_response"
        ).file_urls_response
        state = WidgetState(id=uploader.id)
        for file, urls in zip(files, answer.file_urls, strict=True):
            with file.open("rb") as content:
                self._http.put(
                    urls.upload_url, files={"file": (file.name, content)}
                ).raise_for_status()
            held = state.file_uploader_state_value.uploaded_file_info.add()
            held.file_id, held.name, held.size = urls.file_id, file.name, file.stat().st_size
            held.file_urls.CopyFrom(urls)
        self._widgets[uploader.id] = state

    def _receive(self, wanted: Callable[[ForwardMsg], bool]) -> ForwardMsg:
        """Read on, keeping what the page shows, until the wanted message has come."""
        while True:
            data = self._socket.recv(timeout=self._patience_s)
            message = ForwardMsg()
            message.ParseFromString(data if isinstance(data, bytes) else data.encode())
            self._note(message)
            if wanted(message):
                return message

    def _note(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.elements.clear()
            self._page_hash = message.new_session.page_script_hash
            self._session_id = message.new_session.initialize.session_id or self._session_id
        elif kind == "page_info_changed":
            self._query = message.page_info_changed.query_string
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            self.elements[tuple(message.metadata.delta_path)] = message.delta.new_element


def _is_trigger(widget: WidgetState) -> bool:
    return str(widget.WhichOneof("value")).endswith("trigger_value")
