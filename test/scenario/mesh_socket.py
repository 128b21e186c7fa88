"""What the mesh process tells the other processes of its machine, from a netmap a test writes: for
testing `names` and `drop` without a mesh.  src/wire/mesh_view.h has the format."""

import json
import os
import socketserver
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler

WAIT_S = 20


class MeshSocket:
    def __init__(mesh, path, /, **netmap):
        mesh.path = str(path)
        mesh.changed = threading.Condition()
        mesh.netmap = {"sequence": 1, "domain": "home.example", "peers": [], **netmap}
        mesh.services = []
        mesh.server = None
        mesh.start()

    def start(self):
        mesh = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path, _, query = self.path.partition("?")
                words = dict(urllib.parse.parse_qsl(query))
                if path == "/v1/netmap":
                    self.answer(200, mesh.wait_after(int(words.get("after", 0))))
                elif path == "/v1/whois":
                    machine = mesh.find(words["address"])
                    self.answer(200 if machine else 404, {"machine": machine})
                else:
                    self.answer(404, {})

            def do_PUT(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                mesh.services = json.loads(body)["services"]
                self.answer(200, {})

            def answer(self, status, document):
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def address_string(self):
                return "unix"

            def log_message(self, *words):
                pass

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.server = Server(self.path, Handler)
        threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True).start()

    def stop(self):
        """As if the mesh process had died."""
        self.server.shutdown()
        self.server.server_close()
        os.unlink(self.path)
        self.server = None

    def change(mesh, /, **parts):
        with mesh.changed:
            mesh.netmap.update(parts)
            mesh.netmap["sequence"] += 1
            mesh.changed.notify_all()

    def wait_after(self, sequence):
        with self.changed:
            self.changed.wait_for(lambda: self.netmap["sequence"] != sequence, WAIT_S)
            return dict(self.netmap)

    def find(self, address):
        if address.count(":") == 1:
            address = address.partition(":")[0]
        address = address.split("]")[0].lstrip("[")
        for machine in [self.netmap.get("self"), *self.netmap["peers"]]:
            if machine and address in machine["addresses"]:
                return machine
        return None


def machine(name, *addresses, **more):
    return {"id": f"n-{name}", "name": name, "addresses": list(addresses), "user": "me@home",
            "online": True, **more}
