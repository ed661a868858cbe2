"""A real RTSP camera on the loopback interface: GStreamer's RTSP server, run by the system's Python.

    with RtspServer(width=320, height=240) as camera:
        open_source(camera.url, ...)

It needs python3-gi, gir1.2-gst-rtsp-server-1.0 and GStreamer's good plugins; `why_not()` says what is missing.
"""

import argparse
import functools
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SYSTEM_PYTHON = "/usr/bin/python3"
PATH = "/live"


@functools.cache
def why_not() -> str | None:
    """Why there can be no RTSP server on this machine; None if there can."""
    wanted = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        answer = subprocess.run([SYSTEM_PYTHON, "-c", wanted], capture_output=True, timeout=30, check=False)
    except OSError as error:
        return f"no {SYSTEM_PYTHON}: {error}"
    return (
        f"gir1.2-gst-rtsp-server-1.0 or python3-gi is not installed: {answer.stderr!r}" if answer.returncode else None
    )


class RtspServer:
    """A camera that can be switched off and on again at the same address, and be another one then.

    It shows a moving test picture (width and height in steps of 8 pixels), or plays an H.264 recording (MP4) once for
    everybody who connects. With a user and password it asks for them.
    """

    def __init__(
        self,
        *,
        width: int = 320,
        height: int = 240,
        fps: int = 25,
        recording: Path | None = None,
        user: str | None = None,
        password: str | None = None,
    ) -> None:
        self.width = width
        self.height = height
        self.fps = fps
        self.recording = recording
        self.user = user
        self.password = password
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it is, with what it asks for."""
        who = f"{self.user}:{self.password}@" if self.user else ""
        return f"rtsp://{who}127.0.0.1:{self.port}{PATH}"

    def start(self) -> None:
        """Switches it on; returns when it answers. The port is a free one at first and kept from then on."""
        command = [SYSTEM_PYTHON, __file__, f"--port={self.port}", f"--pipeline={self._pipeline()}"]
        if self.user:
            command += [f"--user={self.user}", f"--password={self.password}"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the RTSP server did not start on port {self.port}")
        self.port = int(line)

    def stop(self) -> None:
        """Pulls the plug: no goodbye to anybody."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def answers(self) -> bool:
        """Whether it says anything to somebody who asks what it can do."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(f"OPTIONS {self.url} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
                return bool(connection.recv(1))
        except OSError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _pipeline(self) -> str:
        if self.recording:
            return f'( filesrc location="{self.recording}" ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 )'
        return (
            "( videotestsrc is-live=true pattern=ball "
            f"! video/x-raw,format=I420,width={self.width},height={self.height},framerate={self.fps}/1 "
            "! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
        )


def serve(port: int, pipeline: str, user: str | None, password: str | None) -> None:
    """Runs until it is killed; writes the port that it listens on. For the system's Python."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    server: Any = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(port))
    factory: Any = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(pipeline)
    factory.set_shared("videotestsrc" in pipeline)
    if user:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        server.set_auth(auth)
        structure = Gst.Structure.from_string("viewer,media.factory.access=true,media.factory.construct=true")[0]
        factory.add_role_from_structure(structure)
    server.get_mount_points().add_factory(PATH, factory)
    if server.attach(None):
        print(server.get_bound_port(), flush=True)
        GLib.MainLoop().run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pipeline", required=True)
    parser.add_argument("--user")
    parser.add_argument("--password")
    given = parser.parse_args()
    serve(given.port, given.pipeline, given.user, given.password)
