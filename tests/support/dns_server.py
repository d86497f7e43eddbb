"""A real DNS server on loopback, over UDP and TCP, whose records a test changes while it runs, and which misbehaves."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.TXT import TXT

Record = str | list[bytes]  # a text, or the strings that one record is made of
LARGEST_UDP = 1232


class DnsServer:
    """Answers for the names in `records`; every other name does not exist, or in `empty` has no TXT record.

    `mode` is `answer`, `silent`, `servfail`, `refused`, `garbage`, `wrong_id` (an answer to another question comes
    first), `other_name` (the records come under another name), `truncated` (UDP says that TCP has more, whatever the
    size) or `dripping` (the same, and TCP sends a byte a second). `asked` is what was asked for, as (transport, name).
    """

    def __init__(self) -> None:
        self.records: dict[str, list[Record]] = {}
        self.aliases: dict[str, str] = {}
        self.empty: set[str] = set()
        self.mode = "answer"
        self.asked: list[tuple[str, str]] = []
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.address = ("127.0.0.1", self._tcp.getsockname()[1])
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(self.address)
        self._is_running = True
        self._threads = [threading.Thread(target=loop) for loop in (self._serve_udp, self._serve_tcp)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_running = False
        with suppress(OSError):  # a packet and a connection wake the two up
            self._udp.sendto(b"", self.address)
            socket.create_connection(self.address, timeout=5).close()
        for thread in self._threads:
            thread.join(10)
        self._udp.close()
        self._tcp.close()

    def _serve_udp(self) -> None:
        while self._is_running:
            packet, caller = self._udp.recvfrom(65535)
            for answer in self._answers(packet, "udp"):
                self._udp.sendto(answer, caller)

    def _serve_tcp(self) -> None:
        while self._is_running:
            connection, _ = self._tcp.accept()
            threading.Thread(target=self._converse, args=[connection], daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, struct.error):
            connection.settimeout(5)
            (length,) = struct.unpack("!H", connection.recv(2, socket.MSG_WAITALL))
            for answer in self._answers(connection.recv(length, socket.MSG_WAITALL), "tcp"):
                self._send(connection, struct.pack("!H", len(answer)) + answer)

    def _send(self, connection: socket.socket, wire: bytes) -> None:
        if self.mode != "dripping":
            connection.sendall(wire)
            return
        for byte in wire:
            connection.sendall(bytes([byte]))
            time.sleep(1)

    def _answers(self, packet: bytes, transport: str) -> Iterator[bytes]:
        if not packet:
            return
        query = dns.message.from_wire(packet)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        self.asked.append((transport, name))
        if self.mode == "silent":
            return
        if self.mode == "garbage":
            yield b"\xff" * 40
            return
        answer = self._answer(query, name)
        if self.mode == "wrong_id":
            answer.id ^= 1
            yield answer.to_wire()
            answer.id ^= 1
        wire = answer.to_wire(max_size=65535)
        if transport == "udp" and (self.mode in ("truncated", "dripping") or len(wire) > LARGEST_UDP):
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.TC
            wire = answer.to_wire()
        yield wire

    def _answer(self, query: dns.message.Message, name: str) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if self.mode in ("servfail", "refused"):
            answer.set_rcode(dns.rcode.from_text(self.mode))
            return answer
        owner = query.question[0].name
        if target := self.aliases.get(name):
            answer.answer.append(dns.rrset.from_text(owner, 60, "IN", "CNAME", f"{target}."))
            owner, name = dns.name.from_text(target), target
        if self.mode == "other_name":
            owner = dns.name.from_text("elsewhere.test")
        if texts := self.records.get(name):
            answer.answer.append(dns.rrset.from_rdata_list(owner, 60, [_rdata(text) for text in texts]))
        elif name not in self.empty:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer


def _rdata(record: Record) -> TXT:
    strings = record if isinstance(record, list) else [record.encode()]
    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings)


@contextmanager
def dns_server() -> Iterator[DnsServer]:
    server = DnsServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
