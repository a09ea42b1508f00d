"""Modbus TCP: every question has a transaction number, and its answer carries the same one."""

from instrument_agent.drivers.byte_streams import TcpStream
from instrument_agent.drivers.modbus_exchange import Line
from instrument_agent.drivers.modbus_frames import Question, tcp_answer, tcp_request
from instrument_agent.i18n import _

MBAP_HEADER = 7  # transaction, protocol, length (two bytes each), unit
SHORTEST_PDU, LONGEST_PDU = 2, 253  # Modbus application protocol V1.1b3, 4.1


class TcpLine(Line):
    """Modbus TCP; after an error the next question goes out on a new connection, with the next number."""

    def __init__(self, host: str, tcp_port: int) -> None:
        super().__init__(
            TcpStream(host, tcp_port, _("check the address, and that Modbus TCP is enabled on the device"))
        )
        self._transaction = 0
        self._received = b""

    def close(self) -> None:
        """Disconnect; what was left over goes with the connection."""
        super().close()
        self._received = b""

    def _exchange(self, question: Question, deadline_s: float) -> list[int]:
        self._transaction = self._transaction % 0xFFFF + 1
        self._stream.send(tcp_request(question, self._transaction), deadline_s)
        self._await(MBAP_HEADER, deadline_s)
        length = int.from_bytes(self._received[4:6], "big")
        if not 1 + SHORTEST_PDU <= length <= 1 + LONGEST_PDU:  # the length counts the unit too
            raise ValueError(_("a frame of {count} bytes cannot be").format(count=length))
        size = MBAP_HEADER - 1 + length
        self._await(size, deadline_s)
        # What is left answers no question: the next one finds it, and gives the connection up.
        frame, self._received = self._received[:size], self._received[size:]
        return tcp_answer(frame, question, self._transaction)

    def _no_answer_hint(self) -> str:
        return _("check the unit id, and behind a gateway that the meter itself is connected")

    def _await(self, count: int, deadline_s: float) -> None:
        while len(self._received) < count:
            more = self._stream.receive(deadline_s)
            if not more:
                raise TimeoutError(_("time ran out after {count} bytes").format(count=len(self._received)))
            self._received += more
