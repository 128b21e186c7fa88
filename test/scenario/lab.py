"""An internet in network namespaces: hosts, routers, and the NATs that real ones have.

    with Lab() as lab:
        server = lab.server("stun", addresses=2)
        home = lab.host("laptop", "apdf")            # behind a router of its own
        other = lab.host("phone", router=home.router) # in the same LAN
        home.run("ping", "-c1", server.ip4)
        home.spawn("hanse", "up")

A namespace has no name: this process holds it by a descriptor, and what runs inside is killed by
the kernel when this process ends, however that happens.  So nothing can be left behind, and any
number of labs run side by side.

Kinds of what stands before a host (the words are those of RFC 4787):

    open     nothing: a public address
    fw       a stateful firewall, public addresses
    eif      endpoint-independent mapping and filtering ("full cone")
    adf      endpoint-independent mapping, filtering by address
    apdf     endpoint-independent mapping, filtering by address and port: the router at home
    adm      another port for every address, filtering by address and port
    sym      another port for every address and port: the router of an office
    sympm    like sym, with UDP port 41641 forwarded by hand
"""

import contextlib
import ctypes
import ipaddress
import os
import shutil
import signal
import socket
import struct
import subprocess

from scenario import wait_until

KINDS = ["open", "fw", "eif", "adf", "apdf", "adm", "sym", "sympm"]
MESH_PORT = 41641
PUBLIC, ROUTED = "203.0.113", "44.0.113"

# A bridge without an address of its own takes the lowest of its ports: a host that comes later may
# change it, and whoever knows the old one sends into the void until ARP finds out.
BRIDGE_MAC = "02:00:00:00:00:01"

CLONE_NEWNET = 0x40000000
CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE, MS_BIND = 0x4000, 0x40000, 0x1000
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


def check_libc(result):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def files_why_not():
    """Why a process in a lab cannot be given other files, or None: a root that is not mounted, as
    in a chroot, cannot be made private."""
    child = os.fork()
    if child == 0:
        failed = libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE,
                                                         None)
        os._exit(1 if failed else 0)
    return "there are no private mounts here" if os.waitpid(child, 0)[1] else None


def why_not():
    """Why a lab cannot be built here, or None."""
    for tool in ["ip", "nft"]:
        if not shutil.which(tool):
            return f"{tool} is not installed"
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        Namespace().close()
    except OSError as error:
        return f"no network namespaces: {error}"
    return None


class Namespace:
    """A network of its own.  Nothing in it is up but the loopback."""

    def __init__(self):
        before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            check_libc(libc.unshare(CLONE_NEWNET))
            self.fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            check_libc(libc.setns(before, CLONE_NEWNET))
        finally:
            os.close(before)
        self.path = f"/proc/{os.getpid()}/fd/{self.fd}"
        self.commands = ["link set lo up"]
        self.processes = []
        # Nobody else has our addresses, and finding that out would take a second.
        self.sysctl("ipv6/conf/all/accept_dad", 0)
        self.sysctl("ipv6/conf/default/accept_dad", 0)

    @contextlib.contextmanager
    def inside(self):
        """This thread is in the namespace, for sockets and /proc/sys/net."""
        before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            check_libc(libc.setns(self.fd, CLONE_NEWNET))
            yield
        finally:
            check_libc(libc.setns(before, CLONE_NEWNET))
            os.close(before)

    def entering(self, files=None):
        """What a child does before it becomes a program; files: {path: the one seen instead}."""
        mine = os.getpid()

        def enter():
            check_libc(libc.setns(self.fd, CLONE_NEWNET))
            if files:
                check_libc(libc.unshare(CLONE_NEWNS))
                check_libc(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
                for path, instead in files.items():
                    check_libc(libc.mount(os.fsencode(instead), os.fsencode(path), None, MS_BIND,
                                          None))
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != mine:
                os._exit(1)
        return enter

    def run(self, *command, check=True, files=None, **settings):
        """Runs to its end; the result has stdout as text, and stderr with it."""
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True,
                    "timeout": 120, **settings}
        done = subprocess.run([str(word) for word in command], preexec_fn=self.entering(files),
                              **settings)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n"
                                 f"{done.stdout}")
        return done

    def spawn(self, *command, files=None, **settings):
        """A process that ends with the lab, if not before."""
        process = subprocess.Popen([str(word) for word in command],
                                   preexec_fn=self.entering(files), **settings)
        self.processes.append(process)
        return process

    def socket(self, kind=socket.SOCK_DGRAM, family=socket.AF_INET):
        with self.inside():
            return socket.socket(family, kind)

    # --- the ip program, in batches --------------------------------------------------------------

    def ip(self, *commands):
        """Remembered until the next settle(); a batch is one process."""
        self.commands += commands

    def settle(self):
        if self.commands:
            self.run("ip", "-batch", "-", input="\n".join(self.commands) + "\n")
            self.commands = []

    def nft(self, rules):
        self.run("nft", "-f", "-", input=rules)

    def sysctl(self, name, value):
        with self.inside(), open("/proc/sys/net/" + name, "w") as file:
            file.write(str(value))

    def forget_connections(self):
        """The router was switched off and on: no connection is known any more."""
        header = struct.pack("=IHHII", 20, 1 << 8 | 2, 1 | 4, 1, 0)  # ctnetlink: delete all
        with self.inside(), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:
            netlink.send(header + struct.pack("!BBH", 0, 0, 0))
            answer = netlink.recv(4096)
        code = struct.unpack_from("=i", answer, 16)[0]
        assert code == 0, os.strerror(-code)

    def close(self):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        self.processes = []
        os.close(self.fd)


# --- the rules of NATs ------------------------------------------------------------------------
# Without the drop on the outer side a datagram that comes before ours makes Linux give ours another
# port.  Some routers in the world do that; "drop_input=False" builds one.

FILTER = """
table inet guard {
	chain input {
		type filter hook input priority 0;
		%(input)s
	}
	chain forward {
		type filter hook forward priority 0;
		%(forward)s
	}
}
"""
NAT = """
table ip nat {
	%(maps)s
	chain before {
		type nat hook prerouting priority dstnat;
		%(before)s
	}
	chain after {
		type nat hook postrouting priority srcnat;
		%(after)s
		oifname "wan0" masquerade
	}
	%(chains)s
}
"""
STATEFUL = 'ct state established,related accept\n\t\tiifname "lan0" accept\n\t\tdrop'
# Who has sent from a port may be reached at it: by anyone, or by whom it has sent to.
EIF_MAP = """map known {
		type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout %s;
	}"""
ADF_MAP = """map known {
		type ipv4_addr . inet_service : ipv4_addr . inet_service;
		flags dynamic,timeout; timeout %s;
	}"""
LEARN = r"""chain learn {
		type filter hook postrouting priority 110;
		oifname "wan0" meta l4proto udp \
			update @known { %s : ct original ip saddr . ct original proto-src }
	}"""


def nat_rules(kind, public, timeout_s, hairpin_net):
    parts = {"maps": "", "before": "", "after": "", "chains": ""}
    outer = "" if hairpin_net else 'iifname "wan0" '
    if kind == "eif":
        parts["maps"] = EIF_MAP % f"{timeout_s}s"
        parts["before"] = (f"{outer}ip daddr {public} meta l4proto udp "
                           "dnat ip to udp dport map @known")
        parts["chains"] = LEARN % "udp sport"
    elif kind == "adf":
        parts["maps"] = ADF_MAP % f"{timeout_s}s"
        parts["before"] = ('iifname "wan0" meta l4proto udp '
                           "dnat ip to ip saddr . udp dport map @known")
        parts["chains"] = LEARN % "ip daddr . udp sport"
    elif kind == "adm":
        parts["after"] = (f'oifname "wan0" meta l4proto udp snat ip to {public} : '
                          "jhash ip saddr . ip daddr . udp sport mod 20000 "
                          "seed 0x5eed offset 20000")
    elif kind in ["sym", "sympm"]:
        parts["after"] = 'oifname "wan0" meta l4proto udp masquerade random'
    elif kind != "apdf":
        raise ValueError(kind)
    if hairpin_net:
        # The sender looks as it does from outside, so the answer comes back through the router.
        parts["after"] = (f'oifname "lan0" ip saddr {hairpin_net} ct status dnat '
                          f"snat ip to {public}\n\t\t" + parts["after"])
    return NAT % parts


class Router(Namespace):
    """wan0 outside, lan0 (a bridge) inside."""

    def __init__(self, lab, kind, upstream=None, lan=None, ipv6=False, drop_input=True,
                 udp_timeout_s=None, hairpin=False, udp=True, net=None):
        super().__init__()
        self.lab, self.kind, self.ipv6, self.udp = lab, kind, ipv6, udp
        self.outer = upstream or lab.internet
        self.number = lab.next_number()
        if not lan:
            lan = (f"198.51.100.{8 * (self.number % 32)}/29" if kind == "fw"
                   else f"192.168.{self.number}.0/24")
        self.lan = ipaddress.ip_network(lan)
        self.lan6 = f"2001:db8:{self.number:x}::"
        self.hosts = 1
        self.ip(f"link add lan0 address {BRIDGE_MAC} type bridge forward_delay 0",
                f"addr add {self.gateway}/{self.lan.prefixlen} dev lan0", "link set lan0 up")
        outside = {"net": net} if net else {}
        self.ip4, self.ip6 = self.outer.attach(self, "wan0", ipv6, **outside)
        if kind == "fw":
            self.outer.ip(f"route add {self.lan} via {self.ip4}")
            self.outer.settle()
        if ipv6:
            self.ip(f"addr add {self.lan6}1/64 dev lan0 nodad")
            self.outer.ip(f"route add {self.lan6}/64 via {self.ip6}")
            self.outer.settle()
        self.settle()
        self.sysctl("ipv4/ip_forward", 1)
        self.sysctl("ipv6/conf/all/forwarding", 1)
        self.sysctl("ipv4/conf/all/send_redirects", 0)
        hairpin_net = self.lan if hairpin else None
        if kind != "fw":
            self.nft(nat_rules(kind, self.ip4, udp_timeout_s or 300, hairpin_net))
        self.input = 'iifname "wan0" ct state new drop' if drop_input else ""
        self.set_filter()
        if udp_timeout_s:
            self.sysctl("netfilter/nf_conntrack_udp_timeout", udp_timeout_s)
            self.sysctl("netfilter/nf_conntrack_udp_timeout_stream", udp_timeout_s)

    @property
    def gateway(self):
        return self.lan.network_address + 1

    def set_filter(self):
        """What is forwarded: IPv6, and everything behind a firewall, only when inside began."""
        forward = "" if self.udp else "meta l4proto udp drop\n\t\t"
        forward += STATEFUL if self.kind == "fw" else (
            "meta nfproto ipv4 accept\n\t\t" + STATEFUL)
        # The empty table first, so that there is one to delete.
        self.nft("table inet guard\ndelete table inet guard\n" +
                 FILTER % {"input": self.input, "forward": forward})

    def set_udp(self, is_allowed):
        self.udp = is_allowed
        self.set_filter()

    def forward_port(self, host, port=MESH_PORT, proto="udp"):
        """As somebody would by hand, in the router's pages."""
        self.nft(f'add rule ip nat before iifname "wan0" {proto} dport {port} '
                 f"dnat to {host.ip4}:{port}\n")

    def attach(self, inner, device, ipv6):
        """Another namespace on the LAN; gives it its addresses and routes."""
        self.hosts += 1
        ip4 = str(self.lan.network_address + self.hosts)
        return self.lab.connect(self, "lan0", inner, device, f"{ip4}/{self.lan.prefixlen}",
                                self.gateway, f"{self.lan6}{self.hosts:x}" if ipv6 else None,
                                f"{self.lan6}1")

    def start_port_mapper(self, *lines, natpmp=True):
        """miniupnpd: UPnP, NAT-PMP and PCP, or only the first.  Its tables are its own."""
        # It takes the public address from wan0, and distrusts those it knows to be for documents.
        config = self.lab.scratch_file(f"upnpd{self.number}.conf", "\n".join([
            "ext_ifname=wan0", f"ext_ip={self.ip4}",
            "listening_ip=lan0", "port=5000", f"enable_natpmp={'yes' if natpmp else 'no'}",
            "enable_upnp=yes", "secure_mode=yes", "system_uptime=yes",
            "upnp_table_name=upnp", "upnp_nat_table_name=upnp", "upnp_forward_chain=upnpforward",
            "upnp_nat_chain=upnpdnat", "upnp_nat_postrouting_chain=upnpsnat",
            f"lease_file={self.lab.scratch}/upnpd{self.number}.leases",
            "allow 1024-65535 0.0.0.0/0 1024-65535", "deny 0-65535 0.0.0.0/0 0-65535",
            *lines]) + "\n")
        self.nft("""table inet upnp {
	chain upnpforward { }
	chain upnpdnat { }
	chain upnpsnat { }
	chain forward {
		type filter hook forward priority -5;
		jump upnpforward
	}
	chain before {
		type nat hook prerouting priority -101;
		jump upnpdnat
	}
	chain after {
		type nat hook postrouting priority 99;
		jump upnpsnat
	}
}
""")
        process = self.spawn("miniupnpd", "-d", "-f", config, "-P", f"{config}.pid",
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = ":5351" if natpmp else ":1900"
        listens = wait_until(lambda: (said := self.run("ss", "-Huln").stdout) and port in said and
                             said, 5, "miniupnpd listens")
        assert natpmp or ":5351" not in listens
        return process


class Host(Namespace):
    def __init__(self, lab, name):
        super().__init__()
        self.lab, self.name, self.router = lab, name, None
        self.ip4 = self.ip6 = None

    def join(self, outer, ipv4=True, ipv6=False):
        """eth0 becomes part of this network; it leaves the one before."""
        if self.router or self.ip4 or self.ip6:
            self.ip("link del eth0")
            self.settle()
        self.router = outer if isinstance(outer, Router) else None
        self.ip4, self.ip6 = outer.attach(self, "eth0", ipv6)
        self.settle()
        if not ipv4:
            self.ip("addr flush dev eth0 to 0.0.0.0/0")
            self.settle()
            self.ip4 = None

    def shape(self, text):
        """For example "delay 40ms loss 1%", on what the host sends; "" ends it."""
        self.run("tc", "qdisc", "replace", "dev", "eth0", "root",
                 *(["netem", *text.split()] if text else ["pfifo"]))


class Internet(Namespace):
    """One bridge: 203.0.113.0/24 for everybody, and 10.99.0.0/24, because the official client
    speaks plain HTTP to private addresses only.  A router may have net=ROUTED instead, because
    miniupnpd refuses addresses that are for documents.  What is private elsewhere leads nowhere."""

    def __init__(self, lab):
        super().__init__()
        self.lab = lab
        self.used = 1
        self.ip(f"link add br0 address {BRIDGE_MAC} type bridge forward_delay 0",
                f"addr add {PUBLIC}.1/24 dev br0", f"addr add {ROUTED}.1/24 dev br0",
                "addr add 10.99.0.1/24 dev br0", "addr add 2001:db8:ffff::1/64 dev br0 nodad",
                "link set br0 up", "route add blackhole 10.0.0.0/8",
                "route add blackhole 192.168.0.0/16", "route add blackhole 172.16.0.0/12",
                "route add blackhole 100.64.0.0/10")
        self.settle()
        self.sysctl("ipv4/ip_forward", 1)
        self.sysctl("ipv6/conf/all/forwarding", 1)
        self.sysctl("ipv4/conf/all/send_redirects", 0)
        self.sysctl("ipv4/conf/br0/send_redirects", 0)

    def next_address(self, net=None):
        self.used += 1
        assert self.used < 255, "the internet is full"
        return f"{net or PUBLIC}.{self.used}"

    def attach(self, inner, device, ipv6, net=None):
        ip4 = self.next_address(net)
        return self.lab.connect(self, "br0", inner, device, f"{ip4}/24", f"{net or PUBLIC}.1",
                                f"2001:db8:ffff::{self.used:x}" if ipv6 else None,
                                "2001:db8:ffff::1")


class Lab:
    def __init__(self, scratch=None):
        self.scratch = str(scratch) if scratch else None
        self.members = []
        self.links = 0
        self.numbers = 0
        self.internet = self.keep(Internet(self))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def keep(self, member):
        self.members.append(member)
        return member

    def next_number(self):
        self.numbers += 1
        assert self.numbers < 255, "too many routers"
        return self.numbers

    def scratch_file(self, name, text):
        assert self.scratch, "Lab(scratch=...) is wanted for files"
        path = os.path.join(self.scratch, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def connect(self, outer, bridge, inner, device, ip4, gateway, ip6, gateway6):
        """A cable from a bridge of `outer` to `device` of `inner`, with addresses and routes."""
        self.links += 1
        port = f"p{self.links}"
        outer.ip(f"link add {port} type veth peer name {device} netns {inner.path}",
                 f"link set {port} master {bridge} up")
        outer.settle()
        inner.ip(f"addr add {ip4} dev {device}", f"link set {device} up",
                 f"route add default via {gateway}")
        if ip6:
            inner.ip(f"addr add {ip6}/64 dev {device} nodad",
                     f"route add default via {gateway6} dev {device}")
        inner.settle()
        return ip4.split("/")[0], ip6

    # --- what a scenario asks for ----------------------------------------------------------------

    def router(self, kind="apdf", **options):
        """options: upstream (another router: double NAT), lan ("100.64.0.0/24" for a carrier's),
        ipv6, drop_input, udp_timeout_s, hairpin, udp (False: blocked), net (ROUTED)."""
        return self.keep(Router(self, kind, **options))

    def host(self, name, kind="open", router=None, ipv4=True, ipv6=False, **options):
        """Behind `router`, or behind one of its own of this kind."""
        host = self.keep(Host(self, name))
        if kind != "open" and not router:
            router = self.router(kind, ipv6=ipv6, **options)
        host.join(router or self.internet, ipv4, ipv6)
        if kind == "sympm":
            router.forward_port(host)
        return host

    def server(self, name, addresses=1, ipv6=False):
        """On the internet with several public addresses (`all_ip4`), and a private one
        (`private`) that every host reaches."""
        host = self.host(name, ipv6=ipv6)
        host.all_ip4 = [host.ip4] + [self.internet.next_address() for _ in range(addresses - 1)]
        host.private = "10.99.0." + host.ip4.split(".")[3]
        host.ip(*(f"addr add {ip4}/24 dev eth0" for ip4 in host.all_ip4[1:]),
                f"addr add {host.private}/24 dev eth0")
        host.settle()
        return host

    def make_wide(self):
        """As many routers between the edges as there are in the world: what has a small TTL does
        not get from one to the other."""
        self.internet.nft("""table bridge width {
	chain forward {
		type filter hook forward priority 0;
		ip ttl < 10 drop
	}
}
""")

    def close(self):
        for member in reversed(self.members):
            member.close()
        self.members = []
