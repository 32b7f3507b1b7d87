"""What every node of ours has: who is asked, where it runs, and what it needs that no other key tells."""

from __future__ import annotations

from pydantic import Field

from cortops.environment.section import Name, Names, Owned, Port


class Placed(Owned):
    """What every node has."""

    host: Name = Field(description="The host that it runs on.", examples=["here"])
    port: Port = Field(description="TCP port.", examples=["5101"])
    depends_on: Names = Field(
        default=(),
        max_length=32,
        description="Nodes that it needs and that no other key names: it starts after them, and is not blamed for them.",
        examples=["[database-1]"],
    )
