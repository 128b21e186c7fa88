#!/usr/bin/env python3
"""Official clients and our machines in one mesh, each behind a router of its own, with real network
devices: pings and connections both ways, names, networks behind machines, exit nodes."""

# It keeps to network namespaces of its own, so it runs beside others.  timeout: 600 s

import socket
import threading

import lab
import official
from machine import Machine
from scenario import Scenario, skip_all, wait_until


def answers(host, address, files=None):
    return host.run("ping", "-c1", "-W1", address, check=False, files=files).returncode == 0


def reaches(host, address, timeout_s=15):
    wait_until(lambda: answers(host, address), timeout_s, f"{host.name} reaches {address}")


class Witness:
    """A server that tells everybody which address they come from."""

    def __init__(self, host, port=7777):
        self.listener = host.socket(socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host.ip4, port))
        self.listener.listen()
        self.address = (host.ip4, port)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, address = self.listener.accept()
            with client:
                client.sendall(address[0].encode())

    def seen(self, host):
        """The address that `host` is seen with, or None."""
        with host.socket(socket.SOCK_STREAM) as client:
            client.settimeout(2)
            try:
                client.connect(self.address)
                return client.recv(100).decode()
            except OSError:
                return None


def join(s, control, machine, key, *more):
    url, _ = control.official_words
    s.at_end.callback(machine.kill)
    machine.start()
    machine.up(url, key, *more)
    machine.wait_state("Running")


def check_links(s, hosts, phone, laptop, desk):
    with s.test("an official machine and ours reach each other, and find the direct way"):
        reaches(hosts["phone"], laptop.ip4)
        reaches(hosts["laptop"], phone.ip4)
        phone.ping_until("laptop", f"via {hosts['laptop'].router.ip4}:")
        said = laptop.run("ping", "phone").stdout
        assert "direct" in said, said
        reaches(hosts["phone"], laptop.ip4)

    with s.test("two official machines do, too"):
        reaches(hosts["phone"], desk.ip4)
        phone.ping_until("desk", f"via {hosts['desk'].router.ip4}:")

    with s.test("the first machine, which is control and relay, is one like the others"):
        first = hosts["first"]
        reaches(hosts["phone"], first.mesh_ip4)
        reaches(first, phone.ip4)

    with s.test("both know the other's name"):
        files = {"/etc/resolv.conf": phone.resolver, "/etc/hosts": hosts["phone"].no_names}
        for name in ["laptop", "laptop.hanse.internal"]:
            said = hosts["phone"].run("getent", "ahostsv4", name, files=files).stdout
            assert laptop.ip4 in said, said
        wait_until(lambda: phone.ip4 in laptop.hosts.read_text(), 10, "the names are in its file")
        assert "phone" in laptop.hosts.read_text()

    with s.test("both know whose an address is"):
        said = phone.run("whois", laptop.ip4).stdout
        assert "laptop.hanse.internal" in said, said
        said = laptop.json("whois", phone.ip4)
        assert said["machine"]["name"].split(".")[0] == "phone", said


def check_routes(s, control, hosts, phone, laptop, desk):
    printer, camera = hosts["printer"], hosts["camera"]

    with s.test("a network behind an official machine is reached once it is approved"):
        desk.run("set", f"--advertise-routes={hosts['desk'].router.lan}")
        wait_until(lambda: control.known("desk")["routes"], 10, "control is asked")
        assert not answers(hosts["phone"], printer.ip4)
        control.run("machine", "routes", "desk", hosts["desk"].router.lan)
        reaches(hosts["phone"], printer.ip4)
        reaches(hosts["laptop"], printer.ip4)

    with s.test("so is one behind our machine"):
        assert not answers(hosts["phone"], camera.ip4)
        control.run("machine", "routes", "laptop", hosts["laptop"].router.lan)
        reaches(hosts["phone"], camera.ip4)

    with s.test("and no longer when it is not approved any more"):
        control.run("machine", "routes", "laptop", "none")
        wait_until(lambda: not answers(hosts["phone"], camera.ip4), 10, "the network is gone")


def check_exit(s, control, hosts, witness, phone, laptop, desk):
    own = wait_until(lambda: witness.seen(hosts["phone"]), 10, "the phone is seen")

    with s.test("an official machine reaches the Internet through another one"):
        assert own == hosts["phone"].router.ip4
        desk.run("set", "--advertise-exit-node")
        wait_until(lambda: "0.0.0.0/0" in control.known("desk")["routes"], 10, "control is asked")
        control.run("machine", "routes", "desk", "0.0.0.0/0,::/0")
        phone.wait_peer("desk", lambda peer: peer.get("ExitNodeOption"), what="may be used")
        phone.run("set", "--exit-node=desk")
        wait_until(lambda: witness.seen(hosts["phone"]) == hosts["desk"].router.ip4, 10,
                   "the phone is seen as the desk")
        phone.run("set", "--exit-node=")
        wait_until(lambda: witness.seen(hosts["phone"]) == own, 10, "it is itself again")

    with s.test("and through ours"):
        control.run("machine", "routes", "laptop", "0.0.0.0/0,::/0")
        phone.wait_peer("laptop", lambda peer: peer.get("ExitNodeOption"), what="may be used")
        phone.run("set", "--exit-node=laptop")
        wait_until(lambda: witness.seen(hosts["phone"]) == hosts["laptop"].router.ip4, 10,
                   "the phone is seen as the laptop")
        phone.run("set", "--exit-node=")


def build(s, place, client):
    first = place.server("first")
    hosts = {"first": first}
    for name in ["phone", "laptop", "desk"]:
        hosts[name] = place.host(name, "apdf")
    for name, behind in [("printer", "desk"), ("camera", "laptop")]:
        hosts[name] = place.host(name, router=hosts[behind].router)
    for name in ["desk", "laptop"]:
        hosts[name].sysctl("ipv4/ip_forward", 1)
    hosts["phone"].no_names = s.scratch / "no-names"
    hosts["phone"].no_names.write_text("127.0.0.1 localhost\n")
    control = Machine(s, "first", where=first, options=["--address", first.private])
    control.start()
    first.mesh_ip4 = control.wait_for(r"This machine is first, (100\.[0-9.]+)")[1]
    return hosts, control


def run_all(s, client, place):
    hosts, control = build(s, place, client)
    phone, desk = (client.machine(s.scratch, name, where=hosts[name], has_device=True)
                   for name in ["phone", "desk"])
    with s.test("official machines and ours join"):
        _, key = control.new_key(uses=10)
        join(s, control, phone, key, "--accept-routes")
        join(s, control, desk, key)
        laptop = Machine(s, "laptop", where=hosts["laptop"], join=control.new_key()[0],
                         options=["--accept-routes", "--advertise-exit-node",
                                  "--advertise-routes", hosts["laptop"].router.lan])
        laptop.start()
        laptop.ip4 = laptop.wait_for(r"This machine is laptop, (100\.[0-9.]+)")[1]
    check_links(s, hosts, phone, laptop, desk)
    check_routes(s, control, hosts, phone, laptop, desk)
    check_exit(s, control, hosts, Witness(place.server("world")), phone, laptop, desk)


def main():
    why = lab.why_not() or lab.files_why_not() or official.why_not()
    if why:
        skip_all(why)
    client = official.find()
    with Scenario() as s, lab.Lab(s.scratch) as place:
        run_all(s, client, place)


main()
