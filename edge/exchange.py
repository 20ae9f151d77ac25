"""The order of the link's work, without a thread and without a client: `edge.link` carries it over MQTT, and so may one thread alone.

Whatever happens is taken in first, and then what is due is said. What is retained goes again over every new connection.
"""

from __future__ import annotations

from edge.dialogue import Dialogue
from edge.linkwords import News, Publish, Saying


class Exchange:
    """One unit's. Each call gives what to publish now, in its order; without a connection it may be dropped. `at`: monotonic seconds."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._retained: dict[str, Publish] = {}

    def accepted(self, at: float) -> list[Saying]:
        """The broker has accepted a connection, and it is subscribed."""
        return [*self._dialogue.connected(at), *self._retained.values(), *self._dialogue.tick(at)]

    def lost(self) -> None:
        """The connection is gone."""
        self._dialogue.disconnected()

    def arrived(self, topic: str, payload: bytes, at: float, *, is_retained: bool) -> list[Saying]:
        """A message has come."""
        return [*self._dialogue.message(topic, payload, at, is_retained=is_retained), *self._dialogue.tick(at)]

    def publish(self, said: Publish, at: float) -> list[Saying]:
        """The unit has something of its own to say."""
        if said.retain:
            self._retained[said.topic] = said
        return [said, *self._dialogue.tick(at)]

    def wake(self, at: float) -> list[Saying]:
        """There are new events in the outbox."""
        self._dialogue.wake()
        return self._dialogue.tick(at)

    def refresh(self, at: float) -> list[Saying]:
        """Somebody wants the newest heads and lists now."""
        return [*self._dialogue.refresh(at), *self._dialogue.tick(at)]

    def tick(self, at: float) -> list[Saying]:
        """Nothing has happened for a while."""
        return self._dialogue.tick(at)

    def take_news(self) -> list[News]:
        """What the deciding thread should hear of, once."""
        news, self._dialogue.news = self._dialogue.news, []
        return news
